import { describe, expect, it } from "vitest";
import type { Plane, Vector3 } from "../src/contract";
import { edgeLetters, letters, turned } from "../src/orientation";

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

describe("turning", () => {
  const side = (axis: "x" | "y", count: number, direction: Vector3) => ({ axis, sign: 1 as const, count, spacing: 1, direction });
  const plane: Plane = { name: "axial", axis: "z", count: 2, spacing: 1, right: side("x", 3, [1, 0, 0]), down: side("y", 2, [0, 1, 0]) };

  it.each<[number, [boolean, boolean], string]>([
    [0, [false, false], "R L A P"],
    [90, [false, false], "P A R L"],
    [180, [false, false], "L R P A"],
    [270, [false, false], "A P L R"],
    [0, [true, false], "L R A P"],
    [0, [false, true], "R L P A"],
    [90, [true, false], "P A L R"],
    [180, [true, true], "R L A P"],
  ])("%i degrees, mirrored %j: letters left, right, top, bottom %s", (rotation, flip, expected) => {
    const edges = edgeLetters(turned(plane, rotation, flip));
    expect([edges.left, edges.right, edges.top, edges.bottom].join(" ")).toBe(expected);
  });

  it("takes counts and senses along", () => {
    expect(turned(plane, 90, [false, false])).toMatchObject({
      right: { axis: "y", sign: -1, count: 2 },
      down: { axis: "x", sign: 1, count: 3 },
    });
  });
});
