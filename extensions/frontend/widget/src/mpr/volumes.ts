// Brings the volumes of the three planes: a coarse level at once, then the finest that fits.
import {
  comparable,
  lengthAlong,
  levelFactor,
  planeOf,
  type Loader,
  type Placed,
  type SeriesMeta,
  type Vector3,
  type Volume,
} from "@cohortlab/core";

const AXES = ["z", "y", "x"] as const;
const BYTES: Record<string, number> = { int8: 1, uint8: 1, bool: 1, int16: 2, uint16: 2 };
const MOST_BYTES = 48 * 2 ** 20;
const FIRST_BYTES = 2 ** 20;

function bytesOf(meta: SeriesMeta, level: number): number {
  const shape = meta.levels[level] ?? meta.shape;
  return AXES.reduce((size, axis) => size * lengthAlong(shape, axis, meta.dims), BYTES[meta.dtype] ?? 4);
}

/** The levels to load, a small one (or else the coarsest) first: at most two, the last the finest that fits into memory and textures. */
export function levelsToLoad(meta: SeriesMeta, longest: number): number[] {
  const fits = (level: number, most: number): boolean =>
    bytesOf(meta, level) <= most && AXES.every((axis) => lengthAlong(meta.levels[level] ?? meta.shape, axis, meta.dims) <= longest);
  const all = meta.levels.map((_, level) => level);
  const best = all.find((level) => fits(level, MOST_BYTES));
  const quick = all.find((level) => fits(level, FIRST_BYTES)) ?? all.at(-1);
  if (best === undefined) return [];
  return quick === undefined || quick <= best ? [best] : [quick, best];
}

function placed(meta: SeriesMeta, level: number, volume: Volume): Placed | null {
  if (meta.affine === null) return null;
  const factors = AXES.map((axis, at) =>
    levelFactor(lengthAlong(meta.shape, axis, meta.dims), volume.shape[at] ?? 1),
  ) as unknown as Vector3;
  const { affine } = meta;
  const lengths = [0, 1, 2].map(
    (column) => Math.hypot(...[0, 1, 2].map((row) => affine[row as 0 | 1 | 2][column as 0 | 1 | 2])) * (factors[column] ?? 1),
  );
  return { volume: evened(meta, level, volume), affine, factors, step: Math.min(...lengths) };
}

/** Slices whose rescales differ are brought to one, as slice2d does. */
function evened(meta: SeriesMeta, level: number, volume: Volume): Volume {
  if (meta.rescale?.per_slice == null || meta.rescale.applied) return volume;
  const plane = meta.planes.find(({ axis }) => axis === "z") ?? planeOf(meta, "");
  const [depth, rows, columns] = volume.shape;
  const values = new Float32Array(volume.values.length);
  for (let z = 0; z < depth; z += 1) {
    const slice = { rows, columns, samples: 1 as const, values: volume.values.subarray(z * rows * columns, (z + 1) * rows * columns) };
    values.set(comparable(meta, plane, z, level, slice).values, z * rows * columns);
  }
  return { ...volume, values };
}

/** Load and hand over, coarse first. Rejects with the loader's error. */
export async function bring(
  loader: Loader,
  meta: SeriesMeta,
  longest: number,
  signal: AbortSignal,
  take: (placed: Placed) => void,
  frame = 0,
): Promise<void> {
  const levels = levelsToLoad(meta, longest);
  if (levels.length === 0) throw new RangeError("This volume is too large for three planes on this machine.");
  for (const level of levels) {
    const volume = await loader.volume({ series: `${meta.dataset}/${meta.series}`, version: meta.version, level, frame }, signal);
    const here = placed(meta, level, volume);
    if (here !== null && !signal.aborted) take(here);
  }
}
