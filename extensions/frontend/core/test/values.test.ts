import { describe, expect, it } from "vitest";
import type { Slice } from "../src/contract";
import { comparable, physical } from "../src/values";
import { planes, sample } from "./sample";

const [axial, coronal] = planes as [(typeof planes)[0], (typeof planes)[0]];
const pet = sample({
  modality: "PT",
  shape: [2, 64, 80],
  levels: [[2, 64, 80]],
  rescale: {
    slope: 1,
    intercept: 0,
    applied: false,
    per_slice: [
      [1, 0],
      [3, 0],
    ],
  },
});
const slice = (values: number[], rows: number): Slice => ({
  rows,
  columns: values.length / rows,
  samples: 1,
  values: Int16Array.from(values),
});

describe("values", () => {
  it("of slices with different slopes share a window: the same activity is as bright on each", () => {
    // 30 units are stored as 30 on slice 0 and as 10 on slice 1
    const [first, second] = [comparable(pet, axial, 0, 0, slice([30], 1)), comparable(pet, axial, 1, 0, slice([10], 1))];
    expect(first.values[0]).toBe(second.values[0]);
    expect((first.values[0] ?? 0) * physical(pet).slope).toBe(30);
    expect([...comparable(pet, coronal, 5, 0, slice([30, 10], 2)).values]).toEqual([15, 15]);
  });

  it("of all other series stay as they are stored", () => {
    const stored = slice([1, 2], 1);
    expect(comparable(sample(), axial, 0, 0, stored)).toBe(stored);
    expect(physical(sample({ rescale: { slope: 2, intercept: -3, applied: false, per_slice: null } }))).toEqual({
      slope: 2,
      intercept: -3,
    });
  });
});
