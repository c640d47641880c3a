// The segmentation that is being painted: the slices that were touched, over what the server holds. Python keeps the whole.
import type { Plane, Slice } from "../contract";
import { apply, change, joined, type Change, type LabelSlice } from "./paint";

/** A segment's mask on one slice after an edit, bits packed row by row, most significant first. */
export interface BrushMessage {
  segment: number;
  index: number;
  frame: number;
  shape: readonly [number, number];
  mask: Uint8Array;
}

export interface Stroke {
  index: number;
  frame: number;
  made: Change;
}

export interface Labels {
  /** The slice to paint on; `base` is what the server has there. */
  open(index: number, frame: number, base: Slice | null): LabelSlice;
  /** Write `number` at positions of an opened slice; gives what changed. */
  paint(index: number, frame: number, positions: readonly number[], number: number, only?: number): Change | null;
  /** Apply a stroke (or its inverse) to a slice that was opened before. */
  apply(stroke: Stroke): void;
  /** What is shown: `base` with what was painted. The same object until something changes. */
  shown(plane: Plane, index: number, frame: number, base: Slice | null): Slice | null;
  /** The masks of the segments that a change touched. */
  messages(stroke: Stroke): BrushMessage[];
  readonly touched: boolean;
}

/** Bits as NumPy's packbits lays them, over the whole mask. */
export function packed(values: ArrayLike<number>, number: number): Uint8Array {
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] === number) bits[at >> 3] = (bits[at >> 3] ?? 0) | (128 >> (at & 7));
  }
  return bits;
}

/** `rows` x `columns` are those of the slices across the array's first axis of space. */
export function createLabels(rows: number, columns: number): Labels {
  const slices = new Map<string, LabelSlice>();
  const drawn = new Map<string, { revision: number; base: Slice | null; slice: Slice }>();
  let revision = 0;
  const keyOf = (index: number, frame: number): string => `${String(index)} ${String(frame)}`;

  function across(plane: Plane, index: number, frame: number, base: Slice | null): Slice {
    const second = plane.axis === "y" ? columns : rows; // the axis beside z
    const depth = base?.rows ?? plane.down.count;
    const values = base === null ? new Uint8Array(depth * second) : base.values.slice();
    for (const [key, slice] of slices) {
      const [z = 0, at = 0] = key.split(" ").map(Number);
      if (at !== frame || z >= depth) continue;
      for (let step = 0; step < second; step += 1) {
        values[z * second + step] = slice.values[plane.axis === "y" ? index * columns + step : step * columns + index] ?? 0;
      }
    }
    return { rows: depth, columns: second, samples: 1, values };
  }

  return {
    open(index, frame, base) {
      const key = keyOf(index, frame);
      const known = slices.get(key);
      if (known !== undefined) return known;
      const same = base !== null && base.rows === rows && base.columns === columns;
      const made = { rows, columns, values: same ? Uint8Array.from(base.values) : new Uint8Array(rows * columns) };
      slices.set(key, made);
      return made;
    },
    paint(index, frame, positions, number, only) {
      const slice = slices.get(keyOf(index, frame));
      const made = slice === undefined ? null : change(slice, positions, number, only);
      if (slice === undefined || made === null) return null;
      apply(slice, made);
      revision += 1;
      return made;
    },
    apply({ index, frame, made }) {
      const slice = slices.get(keyOf(index, frame));
      if (slice === undefined) return;
      apply(slice, made);
      revision += 1;
    },
    shown(plane, index, frame, base) {
      const inPlane = plane.axis === "z";
      if (slices.size === 0 || (inPlane && !slices.has(keyOf(index, frame)))) return base;
      const key = `${plane.axis} ${keyOf(index, frame)}`;
      const known = drawn.get(key);
      if (known?.revision === revision && known.base === base) return known.slice;
      const painted = slices.get(keyOf(index, frame));
      const slice: Slice =
        inPlane && painted !== undefined ? { rows, columns, samples: 1, values: painted.values } : across(plane, index, frame, base);
      drawn.clear();
      drawn.set(key, { revision, base, slice });
      return slice;
    },
    messages({ index, frame, made }) {
      const slice = slices.get(keyOf(index, frame));
      if (slice === undefined) return [];
      const numbers = new Set([...made.before, ...made.after]);
      numbers.delete(0);
      return [...numbers].map((segment) => ({
        segment,
        index,
        frame,
        shape: [rows, columns] as const,
        mask: packed(slice.values, segment),
      }));
    },
    get touched() {
      return slices.size > 0;
    },
  };
}

/** A stroke that goes on. */
export function longer(before: Change | null, more: Change | null): Change | null {
  if (before === null || more === null) return before ?? more;
  return joined(before, more);
}
