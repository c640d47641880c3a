// Levels, tiles and lengths of whole-slide images.
import type { SeriesMeta } from "@cohortlab/core";

export interface Level {
  rows: number;
  columns: number;
}

const RULER_STEPS = [1e4, 5e3, 2e3, 1e3, 500, 200, 100, 50, 20, 10, 5, 2, 1]; // micrometres
const RULER_PIXELS = 160;

/** Levels from the smallest to the full size, as OpenSeadragon counts them. */
export function levelsOf(meta: Pick<SeriesMeta, "dims" | "levels">): Level[] {
  const [row, column] = [meta.dims.indexOf("y"), meta.dims.indexOf("x")];
  return meta.levels.map((shape) => ({ rows: shape[row] ?? 1, columns: shape[column] ?? 1 })).reverse();
}

/** The part of level `level` (as OpenSeadragon counts) that tile (x, y) covers: row, column, rows, columns. */
export function regionOf(levels: readonly Level[], tile: number, level: number, x: number, y: number): [number, number, number, number] {
  const { rows, columns } = levels[level] ?? { rows: 0, columns: 0 };
  return [y * tile, x * tile, Math.min(tile, rows - y * tile), Math.min(tile, columns - x * tile)];
}

/** A length that is round and not longer than it may be on the screen, in micrometres. */
export function rulerLength(micrometresPerPixel: number, most = RULER_PIXELS): number {
  return RULER_STEPS.find((length) => length / micrometresPerPixel <= most) ?? 1;
}
