import { describe, expect, it } from "vitest";
import type { Plane, Vector3 } from "../src/contract";
import { edgeLetters, letters } from "../src/orientation";

describe("letters", () => {
  it.each<[string, Vector3, string]>([
    ["left", [1, 0, 0], "L"],
    ["right", [-1, 0, 0], "R"],
    ["back", [0, 1, 0], "P"],
    ["front", [0, -1, 0], "A"],
    ["head", [0, 0, 1], "H"],
    ["foot", [0, 0, -1], "F"],
    ["leaning a little", [0.02, 0.98, -0.2], "P"],
    ["leaning 20 degrees", [0, 0.94, -0.34], "PF"],
    ["leaning more to the foot than back", [0, 0.34, -0.94], "FP"],
    ["at 45 degrees between all", [0.577, 0.577, 0.578], "HL"],
  ])("%s", (_, direction, expected) => {
    expect(letters(direction)).toBe(expected);
  });

  it("has none where the direction is not known", () => {
    expect(letters(null)).toBe("");
  });

  it("names opposite edges by opposite letters", () => {
    const side = (direction: Vector3) => ({ axis: "x" as const, sign: 1 as const, count: 2, spacing: 1, direction });
    const plane: Plane = { name: "axial", axis: "z", count: 2, spacing: 1, right: side([0.94, 0.34, 0]), down: side([0, 0.94, -0.34]) };
    expect(edgeLetters(plane)).toEqual({ left: "RA", right: "LP", top: "AH", bottom: "PF" });
  });
});
