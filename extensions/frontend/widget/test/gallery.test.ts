import { describe, expect, it } from "vitest";
import { found, gridOf, stepped } from "../src/gallery/grid";
import { levelsOf, regionOf, rulerLength } from "../src/slide/levels";

describe("the grid of thumbnails", () => {
  const cell = { width: 100, height: 120 };

  it.each([
    // count, room, top, seen -> columns, rows, first, end
    [500, 1000, 0, 480, [10, 50, 0, 50]],
    [500, 1000, 3000, 480, [10, 50, 240, 300]],
    [500, 1000, 5999, 480, [10, 50, 480, 500]],
    [7, 50, 0, 240, [1, 7, 0, 3]],
    [0, 500, 0, 480, [5, 0, 0, 0]],
  ] as const)("%i cells in %i pixels from %i on", (count, room, top, seen, [columns, rows, first, end]) => {
    expect(gridOf(count, cell, room, top, seen)).toEqual({ columns, rows, height: rows * 120, first, end });
  });

  it.each([
    ["ArrowRight", 4, 5],
    ["ArrowDown", 4, 9],
    ["ArrowUp", 4, 0],
    ["PageDown", 4, 14],
    ["End", 4, 22],
    ["ArrowRight", 22, 22],
    ["x", 4, null],
  ])("%s from %i leads to %j", (key, at, to) => {
    expect(stepped(key, at, 23, 5, 2)).toBe(to);
  });

  it("finds by all words", () => {
    const items = [
      { series: "a/ct-1", title: "CT", text: "chest" },
      { series: "a/mr-1", title: "MR", text: "prostate" },
    ];
    expect([found(items, ""), found(items, "mr PROST"), found(items, "ct prostate")]).toEqual([[0, 1], [1], []]);
  });
});

describe("slides", () => {
  const meta = {
    dims: ["c", "y", "x"],
    levels: [
      [3, 1000, 1500],
      [3, 250, 375],
    ],
  };

  it("name the region of a level for each tile, the last ones smaller", () => {
    const levels = levelsOf(meta);
    expect(levels).toEqual([
      { rows: 250, columns: 375 },
      { rows: 1000, columns: 1500 },
    ]);
    expect(regionOf(levels, 256, 1, 5, 3)).toEqual([768, 1280, 232, 220]);
    expect(regionOf(levels, 256, 0, 0, 0)).toEqual([0, 0, 250, 256]);
  });

  it("are measured with a round length", () => {
    expect([rulerLength(0.25), rulerLength(8), rulerLength(1000)]).toEqual([20, 1000, 10_000]);
  });
});
