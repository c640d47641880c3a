import { describe, expect, it } from "vitest";
import { eachRun, statistics, type Corner } from "../src/tools/region";

const line = (...points: [number, number][]): Corner[] => points.map(([row, column]) => ({ row, column }));

function inside(corners: Corner[], rows: number, columns: number): string[] {
  const grid = Array.from({ length: rows }, () => ".".repeat(columns).split(""));
  eachRun(corners, rows, columns, (row, start, end) => {
    for (let column = start; column < end; column += 1) (grid[row] as string[])[column] = "#";
  });
  return grid.map((row) => row.join(""));
}

describe("region", () => {
  it.each<[string, Corner[], string[]]>([
    ["a square around four centres", line([0.5, 0.5], [0.5, 2.5], [2.5, 2.5], [2.5, 0.5]), ["....", ".##.", ".##.", "...."]],
    ["centres on the upper and left line, not on the others", line([1, 1], [1, 3], [3, 3], [3, 1]), ["....", ".##.", ".##.", "...."]],
    ["a triangle", line([-0.5, -0.5], [-0.5, 3.4], [3.4, -0.5]), ["###.", "##..", "#...", "...."]],
    [
      "a hole by crossing",
      line([-1, -1], [4, -1], [4, 4], [1.5, 4], [1.5, -0.5], [1.4, -0.5], [1.4, 4], [-1, 4]),
      ["####", "####", "####", "####"],
    ],
    ["what lies outside the slice", line([-9, -9], [-9, 99], [99, 99], [99, 2.5], [-9, 2.5]), ["...#", "...#", "...#", "...#"]],
    ["nothing of two points", line([0, 0], [3, 3]), ["....", "....", "....", "...."]],
  ])("%s", (_, corners, expected) => {
    expect(inside(corners, 4, 4)).toEqual(expected);
  });

  it("divides a slice without gap or overlap", () => {
    const count = (corners: Corner[]): number => inside(corners, 20, 20).join("").replaceAll(".", "").length;
    const [a, b] = [7.3, 11];
    const halves = count(line([-1, -1], [-1, a], [21, b], [21, -1])) + count(line([-1, a], [-1, 21], [21, 21], [21, b]));
    expect(halves).toBe(400);
  });
});

describe("statistics", () => {
  const all = line([-1, -1], [-1, 9], [9, 9], [9, -1]);

  it("of the values in units", () => {
    const slice = { rows: 2, columns: 2, values: Int16Array.from([2, 4, 4, 6]) };
    expect(statistics(slice, all, 10, 1)).toEqual({ voxels: 4, mean: 41, sd: expect.closeTo(Math.sqrt(200)), min: 21, max: 61 });
  });

  it("keeps its digits where the mean is large", () => {
    const slice = { rows: 1, columns: 3, values: Float32Array.from([16777213, 16777214, 16777215]) };
    expect(statistics(slice, all).sd).toBeCloseTo(Math.sqrt(2 / 3), 10);
  });

  it("leaves out what is no number, and says when nothing is left", () => {
    expect(statistics({ rows: 1, columns: 2, values: Float32Array.from([NaN, 5]) }, all)).toMatchObject({ voxels: 1, mean: 5, sd: 0 });
    expect(statistics({ rows: 1, columns: 1, values: Float32Array.from([NaN]) }, all).mean).toBeNaN();
  });
});
