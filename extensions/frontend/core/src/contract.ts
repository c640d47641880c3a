// What the pixel gateway says (see cohortlab/viewer/gateway.py), checked as it arrives.

export type ArrayAxis = "z" | "y" | "x";
export type Vector3 = readonly [number, number, number];
type Row4 = readonly [number, number, number, number];
/** Maps index (z, y, x, 1) of level 0 to patient (L, P, S, 1) in mm. */
export type Affine = readonly [Row4, Row4, Row4, Row4];

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
  dtype: string;
  affine: Affine | null;
  /** mm a voxel, along the last axes of `dims` that are of space; null where it is not known. */
  spacing: (number | null)[];
  planes: Plane[];
  window: [number, number] | null;
  units: string | null;
  rescale: { slope: number; intercept: number; applied: boolean; per_slice: [number, number][] | null } | null;
  suv: { bw: number | null; reason: string | null } | null;
  photometric: string | null;
  body_part: string | null;
  description: string | null;
  laterality: string | null;
  view: string | null;
  regular: boolean;
  irregular_reason: string | null;
  axis: { name: string; values: number[]; unit: string } | null;
  /** Names of the colours; empty for grey images. */
  samples: string[];
  space: "patient" | "slide";
  tiles: { encoding: "jpeg" | "array"; rows: number; columns: number } | null;
  segments: Segment[];
  source_series: string | null;
  /** Ids of the segmentations on this image. */
  segmentations: string[];
  /** Series with the same one share millimetres. */
  frame: string | null;
}

export type PixelArray = Int16Array | Uint16Array | Int8Array | Uint8Array | Float32Array;

/**
 * One slice's values, row after row; with `samples` 3, red, green and blue side by side. `rows` and `columns` follow the two
 * remaining array axes in their order.
 */
export interface Slice {
  rows: number;
  columns: number;
  samples: 1 | 3;
  values: PixelArray;
}

/** A whole level's values in the array's order; `shape` is (z, y, x). */
export interface Volume {
  shape: readonly [number, number, number];
  samples: 1 | 3;
  values: PixelArray;
}

const TYPES: Record<string, new (buffer: ArrayBuffer) => PixelArray> = {
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  float32: Float32Array,
};

function parse(
  type: string | null,
  shape: string | null,
  body: ArrayBuffer,
  axes: 2 | 3,
): { lengths: number[]; samples: 1 | 3; values: PixelArray } {
  const make = TYPES[type ?? ""];
  const all = (shape ?? "").split(",").map(Number);
  if (make === undefined) throw new TypeError(`The server sent values of a type that is not known here: ${type ?? "none"}.`);
  const lengths = all.slice(0, axes);
  if (lengths.length !== axes || !all.every((length) => length > 0)) throw new TypeError("The server sent pixels without a shape.");
  const samples = all[axes] ?? 1;
  if (samples !== 1 && samples !== 3) throw new TypeError("The server sent colours that are not known here.");
  const size = lengths.reduce((product, length) => product * length, samples);
  if (body.byteLength % make.prototype.BYTES_PER_ELEMENT !== 0) throw new TypeError("The server sent only a part of the pixels.");
  const values = new make(body);
  if (values.length !== size) throw new TypeError("The server sent pixels of another size than it says.");
  return { lengths, samples, values };
}

/** A slice from an answer's headers and body. Values are little-endian, as is every machine that runs a browser. */
export function parseSlice(type: string | null, shape: string | null, body: ArrayBuffer): Slice {
  const { lengths, samples, values } = parse(type, shape, body, 2);
  const [rows = 0, columns = 0] = lengths;
  return { rows, columns, samples, values };
}

export function parseVolume(type: string | null, shape: string | null, body: ArrayBuffer): Volume {
  const { lengths, samples, values } = parse(type, shape, body, 3);
  const [z = 0, y = 0, x = 0] = lengths;
  return { shape: [z, y, x], samples, values };
}

/** Voxels of a level as (z, y, x); `shape` may have time or channels before and, by `dims`, colours. */
export function volumeShape(shape: readonly number[]): [number, number, number] {
  const [z = 1, y = 1, x = 1] = [1, 1, ...shape].slice(-3);
  const hasZ = shape.length >= 3;
  return [hasZ ? z : 1, y, x];
}

const AXES: Record<ArrayAxis, 0 | 1 | 2> = { z: 0, y: 1, x: 2 };

/** The length of a level along an array axis: by its name in `dims`, 1 where it is not there. */
export function lengthAlong(shape: readonly number[], axis: ArrayAxis, dims?: readonly string[]): number {
  if (dims === undefined) return volumeShape(shape)[AXES[axis]];
  const place = dims.indexOf(axis);
  return place < 0 ? 1 : (shape[place] ?? 1);
}
