// Painting a segmentation on one slice: brush, threshold brush, scissors. Each gives the voxels that change; applying them,
// and taking them back, is `history.ts`'s business.
import type { PixelArray } from "../contract";
import { eachRun, type Corner } from "./region";

/** A slice of labels in the image's own voxels. */
export interface LabelSlice {
  rows: number;
  columns: number;
  values: Uint8Array;
}

/** What a stroke did to one slice: voxel positions (row * columns + column) and their numbers before. */
export interface Change {
  positions: Uint32Array;
  before: Uint8Array;
  after: Uint8Array;
}

/** Which stored values the threshold brush paints, both included. */
export type Range = readonly [number, number];

/**
 * Positions under a round brush of `radius` mm that is drawn from `from` to `to`; voxels are `spacing` mm (row, column) apart.
 * A voxel is under it when its centre is. The brush always paints the voxel that it is on.
 */
export function brushed(
  slice: { rows: number; columns: number },
  from: Corner,
  to: Corner,
  radius: number,
  spacing: readonly [number, number],
): number[] {
  const [dy, dx] = spacing;
  const [rowStep, columnStep] = [(to.row - from.row) * dy, (to.column - from.column) * dx];
  const length = rowStep * rowStep + columnStep * columnStep;
  const found: number[] = [];
  const [low, high] = [Math.min(from.row, to.row) - radius / dy, Math.max(from.row, to.row) + radius / dy];
  const [left, right] = [Math.min(from.column, to.column) - radius / dx, Math.max(from.column, to.column) + radius / dx];
  const on = { row: Math.round(to.row), column: Math.round(to.column) };
  for (
    let row = Math.max(0, Math.min(Math.floor(low), on.row));
    row <= Math.min(slice.rows - 1, Math.max(Math.ceil(high), on.row));
    row += 1
  ) {
    for (
      let column = Math.max(0, Math.min(Math.floor(left), on.column));
      column <= Math.min(slice.columns - 1, Math.max(Math.ceil(right), on.column));
      column += 1
    ) {
      const [y, x] = [(row - from.row) * dy, (column - from.column) * dx];
      const along = length === 0 ? 0 : Math.min(1, Math.max(0, (y * rowStep + x * columnStep) / length));
      const near = (y - along * rowStep) ** 2 + (x - along * columnStep) ** 2 <= radius * radius;
      if (near || (row === on.row && column === on.column)) found.push(row * slice.columns + column);
    }
  }
  return found;
}

/** Those of `positions` whose value lies in `range`. */
export function inRange(positions: readonly number[], values: PixelArray, [least, most]: Range): number[] {
  return positions.filter((position) => {
    const value = values[position] ?? NaN;
    return value >= least && value <= most;
  });
}

/** Positions inside a closed line: the scissors. */
export function enclosed(slice: { rows: number; columns: number }, corners: readonly Corner[]): number[] {
  const found: number[] = [];
  eachRun(corners, slice.rows, slice.columns, (row, start, end) => {
    for (let column = start; column < end; column += 1) found.push(row * slice.columns + column);
  });
  return found;
}

/** What writing `number` at `positions` changes; null when nothing. With `only`, voxels of other numbers stay. */
export function change(slice: LabelSlice, positions: readonly number[], number: number, only?: number): Change | null {
  const real = positions.filter((position) => {
    const now = slice.values[position];
    return now !== undefined && now !== number && (only === undefined || now === only);
  });
  if (real.length === 0) return null;
  const before = Uint8Array.from(real, (position) => slice.values[position] ?? 0);
  return { positions: Uint32Array.from(real), before, after: new Uint8Array(real.length).fill(number) };
}

export function apply(slice: LabelSlice, { positions, after }: Change): void {
  positions.forEach((position, at) => {
    slice.values[position] = after[at] ?? 0;
  });
}

/** The change that takes `made` back. */
export function inverse(made: Change): Change {
  return { positions: made.positions, before: made.after, after: made.before };
}

/** Two changes one after the other as one: a stroke is undone whole. */
export function joined(first: Change, second: Change): Change {
  const place = new Map<number, number>();
  first.positions.forEach((position, at) => place.set(position, at));
  const positions = [...first.positions];
  const before = [...first.before];
  const after = [...first.after];
  second.positions.forEach((position, at) => {
    const known = place.get(position);
    const number = second.after[at] ?? 0;
    if (known !== undefined) after[known] = number;
    else {
      positions.push(position);
      before.push(second.before[at] ?? 0);
      after.push(number);
    }
  });
  return { positions: Uint32Array.from(positions), before: Uint8Array.from(before), after: Uint8Array.from(after) };
}
