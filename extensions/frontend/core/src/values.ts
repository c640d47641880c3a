// Array values and what they mean: units, and rescales that change from slice to slice (PET).
import { lengthAlong, type Plane, type SeriesMeta, type Slice } from "./contract";
import { levelFactor } from "./placement";

/** Units in one step of a shown value, and of its nought. */
export function physical(meta: SeriesMeta): { slope: number; intercept: number } {
  const { rescale } = meta;
  if (rescale === null || rescale.applied) return { slope: 1, intercept: 0 };
  return rescale.per_slice === null
    ? { slope: rescale.slope, intercept: rescale.intercept }
    : { slope: meanSlope(rescale.per_slice), intercept: 0 };
}

function meanSlope(pairs: readonly [number, number][]): number {
  return pairs.reduce((sum, [slope]) => sum + slope, 0) / pairs.length;
}

/**
 * A slice whose values mean the same everywhere. Where the rescale changes from slice to slice, stored values of two slices
 * cannot share a window: they are brought to the mean slope. Any other slice is given back as it is.
 */
export function comparable(meta: SeriesMeta, plane: Plane, index: number, level: number, slice: Slice): Slice {
  const pairs = meta.rescale?.per_slice ?? null;
  if (pairs === null || meta.rescale?.applied === true || slice.samples !== 1) return slice;
  const mean = meanSlope(pairs);
  const factor = levelFactor(lengthAlong(meta.shape, "z", meta.dims), lengthAlong(meta.levels[level] ?? meta.shape, "z", meta.dims));
  const values = new Float32Array(slice.values.length);
  for (let row = 0; row < slice.rows; row += 1) {
    const z = plane.axis === "z" ? index : row; // of the two axes that are left, z is the first
    const [slope, intercept] = pairs[Math.min(z * factor, pairs.length - 1)] ?? [mean, 0];
    for (let at = row * slice.columns; at < (row + 1) * slice.columns; at += 1) {
      values[at] = ((slice.values[at] ?? 0) * slope + intercept) / mean;
    }
  }
  return { ...slice, values };
}
