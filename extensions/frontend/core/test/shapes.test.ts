// Measures against values that are known from school, in planes that lie askew in the patient.
import { describe, expect, it } from "vitest";
import type { Vector3 } from "../src/contract";
import { add, angle, corners, distance, dot, fromDrag, measures, movedPoint, subtract, times, type Kind } from "../src/tools/shapes";

const [cos, sin] = [Math.cos(0.4), Math.sin(0.4)];
const right: Vector3 = [cos, sin, 0];
const down: Vector3 = [-sin * cos, cos * cos, sin];
const origin: Vector3 = [12, -40, 300];
/** A point `x` mm to the right of and `y` mm below the origin, in the oblique plane. */
const at = (x: number, y: number): Vector3 => add(origin, add(times(right, x), times(down, y)));

describe("measures", () => {
  it.each<[string, Kind, [number, number][], Record<string, number>]>([
    [
      "3-4-5 triangle's long side",
      "length",
      [
        [0, 0],
        [3, 4],
      ],
      { length_mm: 5 },
    ],
    [
      "nothing from a point",
      "length",
      [
        [1, 1],
        [1, 1],
      ],
      { length_mm: 0 },
    ],
    [
      "long axis first, whichever was drawn first",
      "bidirectional",
      [
        [0, 0],
        [2, 0],
        [1, -3],
        [1, 3],
      ],
      { length_mm: 6, short_mm: 2 },
    ],
    [
      "right angle",
      "angle",
      [
        [5, 0],
        [0, 0],
        [0, 7],
      ],
      { angle_deg: 90 },
    ],
    [
      "stretched angle",
      "angle",
      [
        [-2, 0],
        [0, 0],
        [3, 0],
      ],
      { angle_deg: 180 },
    ],
    [
      "tiny angle",
      "angle",
      [
        [1000, 0],
        [0, 0],
        [1000, 0.1],
      ],
      { angle_deg: 0.0057296 },
    ],
    [
      "rectangle",
      "rectangle",
      [
        [0, 0],
        [4, 0],
        [4, 3],
        [0, 3],
      ],
      { area_mm2: 12, perimeter_mm: 14 },
    ],
    [
      "circle of radius 2",
      "ellipse",
      [
        [-2, 0],
        [2, 0],
        [0, -2],
        [0, 2],
      ],
      { area_mm2: Math.PI * 4 },
    ],
    [
      "ellipse",
      "ellipse",
      [
        [-3, 0],
        [3, 0],
        [0, -1],
        [0, 1],
      ],
      { area_mm2: Math.PI * 3 },
    ],
    [
      "triangle by hand",
      "freehand",
      [
        [0, 0],
        [6, 0],
        [0, 4],
      ],
      { area_mm2: 12 },
    ],
    [
      "the same the other way round",
      "freehand",
      [
        [0, 4],
        [6, 0],
        [0, 0],
      ],
      { area_mm2: 12 },
    ],
    [
      "L shape by hand",
      "freehand",
      [
        [0, 0],
        [4, 0],
        [4, 1],
        [1, 1],
        [1, 4],
        [0, 4],
      ],
      { area_mm2: 7, perimeter_mm: 16 },
    ],
  ])("%s", (_, kind, points, expected) => {
    const found = measures(
      kind,
      points.map(([x, y]) => at(x, y)),
    );
    for (const [name, value] of Object.entries(expected)) expect(found[name as keyof typeof found]).toBeCloseTo(value, 6);
  });

  it("are none before a shape is complete", () => {
    expect(measures("angle", [at(0, 0), at(1, 0)])).toEqual({});
    expect(corners("rectangle", [at(0, 0)])).toEqual([]);
    expect(angle(origin, origin, origin)).toBe(0);
  });
});

describe("drawing", () => {
  it.each<[Kind, number]>([
    ["rectangle", 60],
    ["ellipse", (Math.PI * 60) / 4],
  ])("a %s from corner to corner", (kind, area) => {
    const points = fromDrag(kind, at(2, 3), at(12, 9), right, down);
    expect(measures(kind, points).area_mm2).toBeCloseTo(area, 6);
  });

  it("a bidirectional with its short axis at a right angle in the middle", () => {
    const [a, b, c, d] = fromDrag("bidirectional", at(0, 0), at(9, 0), right, down) as [Vector3, Vector3, Vector3, Vector3];
    expect(dot(subtract(b, a), subtract(d, c))).toBeCloseTo(0);
    expect(distance(c, d)).toBeCloseTo(3);
  });

  it.each([0, 1, 2, 3])("a rectangle keeps its right angles when corner %i is moved", (corner) => {
    const points = fromDrag("rectangle", at(0, 0), at(8, 6), right, down);
    const to = at(20, 30);
    const moved = movedPoint("rectangle", points, corner, to);
    expect(distance(moved[corner] ?? origin, to)).toBeCloseTo(0);
    expect(distance(moved[(corner + 2) % 4] ?? origin, points[(corner + 2) % 4] ?? origin)).toBeCloseTo(0);
    moved.forEach((point, step) => {
      const [before, after] = [moved[(step + 3) % 4] ?? point, moved[(step + 1) % 4] ?? point];
      expect(dot(subtract(before, point), subtract(after, point))).toBeCloseTo(0, 6);
    });
    const fixed = [
      [0, 0],
      [8, 0],
      [8, 6],
      [0, 6],
    ][(corner + 2) % 4] ?? [0, 0];
    expect(measures("rectangle", moved).area_mm2).toBeCloseTo(Math.abs((20 - (fixed[0] ?? 0)) * (30 - (fixed[1] ?? 0))));
  });

  it("an ellipse's end moves along its own axis, about its centre", () => {
    const points = fromDrag("ellipse", at(0, 0), at(10, 4), right, down);
    const moved = movedPoint("ellipse", points, 1, at(15, 99));
    expect(measures("ellipse", moved).area_mm2).toBeCloseTo(Math.PI * 10 * 2);
  });
});
