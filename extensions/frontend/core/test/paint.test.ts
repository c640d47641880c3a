import { describe, expect, it } from "vitest";
import type { Slice } from "../src/contract";
import { createHistory } from "../src/tools/history";
import { createLabels, longer, packed } from "../src/tools/labels";
import { apply, brushed, change, enclosed, inRange, inverse, joined, type LabelSlice } from "../src/tools/paint";
import { planes } from "./sample";

const [axial, coronal, sagittal] = planes as [(typeof planes)[0], (typeof planes)[0], (typeof planes)[0]];
const empty = (rows = 5, columns = 7): LabelSlice => ({ rows, columns, values: new Uint8Array(rows * columns) });

function picture({ rows, columns, values }: LabelSlice): string[] {
  return Array.from({ length: rows }, (_, row) =>
    [...values.slice(row * columns, (row + 1) * columns)].map((value) => (value === 0 ? "." : String(value))).join(""),
  );
}

function painted(positions: number[]): string[] {
  const slice = empty();
  const made = change(slice, positions, 1);
  if (made !== null) apply(slice, made);
  return picture(slice);
}

describe("brush", () => {
  it("is round in millimetres, not in voxels", () => {
    const on = { row: 2, column: 3 };
    expect(painted(brushed(empty(), on, on, 1, [1, 1]))).toEqual([".......", "...1...", "..111..", "...1...", "......."]);
    expect(painted(brushed(empty(), on, on, 1, [1, 0.5]))).toEqual([".......", "...1...", ".11111.", "...1...", "......."]);
  });

  it("leaves no gap on its way", () => {
    expect(painted(brushed(empty(), { row: 2, column: 0 }, { row: 2, column: 6 }, 0.6, [1, 1]))[2]).toBe("1111111");
  });

  it("paints the voxel that it is on, however small it is", () => {
    expect(painted(brushed(empty(), { row: 1.4, column: 1.4 }, { row: 1.4, column: 1.4 }, 0.1, [1, 1]))[1]).toBe(".1.....");
  });

  it("takes only values in a range, ends included", () => {
    expect(inRange([0, 1, 2, 3], Int16Array.from([-5, 0, 10, 11]), [0, 10])).toEqual([1, 2]);
  });

  it("cuts out what a line encloses", () => {
    const corners = [
      [0.5, 0.5],
      [0.5, 3.5],
      [2.5, 3.5],
      [2.5, 0.5],
    ].map(([row = 0, column = 0]) => ({ row, column }));
    expect(painted(enclosed(empty(), corners))).toEqual([".......", ".111...", ".111...", ".......", "......."]);
  });
});

describe("undo", () => {
  it("brings back what was there, of a whole stroke at once", () => {
    const slice = empty(1, 4);
    slice.values.set([2, 0, 0, 3]);
    const [first, second] = [change(slice, [0, 1], 1), null];
    if (first === null) throw new Error("nothing was painted");
    apply(slice, first);
    const more = change(slice, [1, 2, 0], 5);
    if (more === null) throw new Error("nothing was painted");
    apply(slice, more);
    expect(second).toBeNull();
    apply(slice, inverse(joined(first, more)));
    expect([...slice.values]).toEqual([2, 0, 0, 3]);
    apply(slice, joined(first, more));
    expect([...slice.values]).toEqual([5, 5, 5, 3]);
  });

  it("knows nothing of a change that changes nothing; erasing one segment leaves others", () => {
    const slice = empty(1, 3);
    slice.values.set([1, 2, 1]);
    expect(change(slice, [0], 1)).toBeNull();
    expect([...(change(slice, [0, 1, 2], 0, 2)?.positions ?? [])]).toEqual([1]);
    expect(longer(null, null)).toBeNull();
  });

  it("forgets what was undone when something else is done, and what is too long ago", () => {
    const history = createHistory<number>(3);
    for (const step of [1, 2, 3, 4]) history.done(step);
    expect([history.undo(), history.undo(), history.redo()]).toEqual([4, 3, 3]);
    history.undo();
    history.done(9);
    expect(history.canRedo).toBe(false);
    expect([history.undo(), history.undo(), history.undo()]).toEqual([9, 2, undefined]);
  });
});

describe("painted labels", () => {
  const base: Slice = { rows: 64, columns: 80, samples: 1, values: new Uint16Array(64 * 80).fill(3) };

  it("begin with what the server has, and show the same object until something changes", () => {
    const labels = createLabels(64, 80);
    expect(labels.shown(axial, 4, 0, base)).toBe(base);
    expect(labels.open(4, 0, base).values[0]).toBe(3);
    labels.paint(4, 0, [0, 81], 1);
    const shown = labels.shown(axial, 4, 0, base);
    expect([shown?.values[0], shown?.values[1], shown?.values[81]]).toEqual([1, 3, 1]);
    expect(labels.shown(axial, 4, 0, base)).toBe(shown);
    labels.paint(4, 0, [1], 1);
    expect(labels.shown(axial, 4, 0, base)).not.toBe(shown);
    expect(labels.shown(axial, 5, 0, base)).toBe(base);
  });

  it("are seen in the other planes too", () => {
    const labels = createLabels(64, 80);
    labels.open(4, 0, null);
    labels.paint(4, 0, [10 * 80 + 20], 2);
    const across = labels.shown(coronal, 10, 0, null);
    expect(across).toMatchObject({ rows: 40, columns: 80 });
    expect(across?.values[4 * 80 + 20]).toBe(2);
    expect(labels.shown(sagittal, 20, 0, null)?.values[4 * 64 + 10]).toBe(2);
    expect(labels.shown(sagittal, 21, 0, null)?.values.some((value) => value !== 0)).toBe(false);
  });

  it("tell Python the mask of each segment that a stroke touched, packed as NumPy does", () => {
    const labels = createLabels(2, 5);
    labels.open(7, 0, { rows: 2, columns: 5, samples: 1, values: Uint8Array.from([1, 1, 0, 0, 0, 0, 0, 0, 0, 0]) });
    const made = labels.paint(7, 0, [0, 9], 2);
    if (made === null) throw new Error("nothing was painted");
    const messages = labels.messages({ index: 7, frame: 0, made });
    expect(messages.map(({ segment, mask }) => [segment, [...mask]])).toEqual([
      [1, [0b01000000, 0]],
      [2, [0b10000000, 0b01000000]],
    ]);
    expect(messages[0]).toMatchObject({ index: 7, frame: 0, shape: [2, 5] });
    expect([...packed([0, 1, 1], 1)]).toEqual([0b01100000]);
  });
});
