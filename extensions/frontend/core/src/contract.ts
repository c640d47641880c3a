// What the pixel gateway says (see cohortlab/viewer/gateway.py), checked as it arrives.

export type ArrayAxis = "z" | "y" | "x";
export type Vector3 = readonly [number, number, number];

/** One side of a shown plane; `direction` is towards the right (or the bottom) of the screen, in patient L, P, S. */
export interface Side {
  axis: ArrayAxis;
  sign: 1 | -1;
  count: number;
  spacing: number;
  direction: Vector3 | null;
}

/** A stack of slices; `axis` is the array axis that the slice index counts. */
export interface Plane {
  name: string;
  axis: ArrayAxis;
  count: number;
  spacing: number;
  right: Side;
  down: Side;
}

export interface Segment {
  number: number;
  label: string;
  color: readonly [number, number, number] | null;
}

export interface SeriesMeta {
  dataset: string;
  series: string;
  version: string;
  kind: "image" | "segmentation";
  modality: string;
  shape: number[];
  levels: number[][];
  dims: string[];
  planes: Plane[];
  window: [number, number] | null;
  units: string | null;
  rescale: { slope: number; intercept: number; applied: boolean; per_slice: [number, number][] | null } | null;
  photometric: string | null;
  body_part: string | null;
  description: string | null;
  laterality: string | null;
  view: string | null;
  regular: boolean;
  irregular_reason: string | null;
  axis: { name: string; values: number[]; unit: string } | null;
  segments: Segment[];
}

export type PixelArray = Int16Array | Uint16Array | Int8Array | Uint8Array | Float32Array;

/** One slice's values, row after row. `rows` and `columns` follow the two remaining array axes in their order. */
export interface Slice {
  rows: number;
  columns: number;
  values: PixelArray;
}

const TYPES: Record<string, new (buffer: ArrayBuffer) => PixelArray> = {
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  float32: Float32Array,
};

/** A slice from an answer's headers and body. Values are little-endian, as is every machine that runs a browser. */
export function parseSlice(type: string | null, shape: string | null, body: ArrayBuffer): Slice {
  const make = TYPES[type ?? ""];
  const [rows = 0, columns = 0] = (shape ?? "").split(",").map(Number);
  if (make === undefined) throw new TypeError(`The server sent values of a type that is not known here: ${type ?? "none"}.`);
  if (!(rows > 0 && columns > 0)) throw new TypeError("The server sent a slice without a shape.");
  const values = new make(body);
  if (values.length !== rows * columns) throw new TypeError("The server sent a slice of another size than it says.");
  return { rows, columns, values };
}

/** Voxels of a level as (z, y, x), whatever comes before z. */
export function volumeShape(shape: readonly number[]): [number, number, number] {
  const [z = 1, y = 1, x = 1] = [1, 1, ...shape].slice(-3);
  const hasZ = shape.length >= 3;
  return [hasZ ? z : 1, y, x];
}

const AXES: Record<ArrayAxis, 0 | 1 | 2> = { z: 0, y: 1, x: 2 };

/** The length of a level along an array axis. */
export function lengthAlong(shape: readonly number[], axis: ArrayAxis): number {
  return volumeShape(shape)[AXES[axis]];
}
