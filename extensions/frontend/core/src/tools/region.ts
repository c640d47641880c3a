// Which voxels of a slice lie in a closed line, and what their values say. A voxel counts when its centre lies inside.
import type { PixelArray } from "../contract";

/** A corner in the slice's own voxels: whole numbers are voxel centres. */
export interface Corner {
  row: number;
  column: number;
}

/**
 * Calls `each` for the runs of voxels, row by row, whose centres lie inside the polygon by the even-odd rule; `end` is behind
 * the last. A centre exactly on the line belongs to the region on its right or below it, so that neighbours never share one.
 */
export function eachRun(
  corners: readonly Corner[],
  rows: number,
  columns: number,
  each: (row: number, start: number, end: number) => void,
): void {
  if (corners.length < 3) return;
  const low = Math.max(0, Math.ceil(Math.min(...corners.map(({ row }) => row))));
  const high = Math.min(rows - 1, Math.floor(Math.max(...corners.map(({ row }) => row))));
  for (let row = low; row <= high; row += 1) {
    const crossings: number[] = [];
    corners.forEach((one, at) => {
      const other = corners[(at + 1) % corners.length] ?? one;
      // half open, so that a corner on the row counts once
      if (one.row <= row === other.row <= row) return;
      crossings.push(one.column + ((row - one.row) / (other.row - one.row)) * (other.column - one.column));
    });
    crossings.sort((left, right) => left - right);
    for (let at = 0; at + 1 < crossings.length; at += 2) {
      const start = Math.max(0, Math.ceil(crossings[at] ?? 0));
      const end = Math.min(columns, Math.ceil(crossings[at + 1] ?? 0));
      if (end > start) each(row, start, end);
    }
  }
}

/** Of the values in a region; `voxels` 0: all others are NaN. `sd` is of the population, as workstations give it. */
export interface Statistics {
  voxels: number;
  mean: number;
  sd: number;
  min: number;
  max: number;
}

/** Statistics of `values * slope + intercept` in the polygon; NaN values do not count. */
export function statistics(
  slice: { rows: number; columns: number; values: PixelArray },
  corners: readonly Corner[],
  slope = 1,
  intercept = 0,
): Statistics {
  let [voxels, mean, square, min, max] = [0, 0, 0, Infinity, -Infinity];
  eachRun(corners, slice.rows, slice.columns, (row, start, end) => {
    for (let at = row * slice.columns + start; at < row * slice.columns + end; at += 1) {
      const value = (slice.values[at] ?? NaN) * slope + intercept;
      if (Number.isNaN(value)) continue;
      voxels += 1;
      const from = value - mean; // Welford: no loss of digits where the mean is large and the spread small
      mean += from / voxels;
      square += from * (value - mean);
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  });
  if (voxels === 0) return { voxels: 0, mean: NaN, sd: NaN, min: NaN, max: NaN };
  return { voxels, mean, sd: Math.sqrt(square / voxels), min, max };
}
