import { describe, expect, it } from "vitest";
import type { ArrayAxis, Plane } from "../src/contract";
import { indexInLevel, levelFactor, pixelAt, place, spotAt, texelAt, textureMap } from "../src/placement";

function plane(right: [ArrayAxis, 1 | -1, number, number], down: [ArrayAxis, 1 | -1, number, number]): Plane {
  const side = ([axis, sign, count, spacing]: [ArrayAxis, 1 | -1, number, number]) => ({ axis, sign, count, spacing, direction: null });
  return { name: "test", axis: "z", count: 1, spacing: 1, right: side(right), down: side(down) };
}

const viewport = { width: 800, height: 600 };

describe("placement", () => {
  it("keeps true proportions: 1 mm is as wide as it is high", () => {
    const stretched = plane(["x", 1, 100, 1], ["z", -1, 20, 5]); // 100 mm x 100 mm
    const { scale, pixelSize } = place(stretched, viewport, 1, [0, 0]);
    expect(pixelSize).toBeCloseTo(100 / 600);
    expect(scale[0] * stretched.right.spacing).toBeCloseTo(pixelSize);
    expect(scale[1] * stretched.down.spacing).toBeCloseTo(pixelSize);
  });

  it("puts the middle of the slice into the middle of the viewport at any zoom", () => {
    for (const zoom of [0.5, 1, 7]) {
      const shape = plane(["x", 1, 64, 0.7], ["y", 1, 48, 0.7]);
      const map = textureMap(shape, place(shape, viewport, zoom, [0, 0]), 48, 64);
      expect(map[0] * 400 + map[2]).toBeCloseTo(32);
      expect(map[4] * 300 + map[5]).toBeCloseTo(24);
    }
  });

  it("moves the image with the pan", () => {
    const shape = plane(["x", 1, 60, 1], ["y", 1, 60, 1]);
    const still = textureMap(shape, place(shape, viewport, 1, [0, 0]), 60, 60);
    const moved = textureMap(shape, place(shape, viewport, 1, [30, -20]), 60, 60);
    expect(texelAt(moved, 430, 280, 60, 60)).toEqual(texelAt(still, 400, 300, 60, 60));
  });

  it("keeps what is in the middle when the zoom changes, and finds the pixel of a spot again", () => {
    const shape = plane(["x", 1, 60, 1], ["y", 1, 60, 1]);
    const middle = (zoom: number) => spotAt(place(shape, viewport, zoom, [30, -20]), 400, 300);
    expect(middle(4).right).toBeCloseTo(middle(1).right);
    const placement = place(shape, viewport, 2.5, [30, -20]);
    const [x, y] = pixelAt(placement, spotAt(placement, 123, 45));
    expect([x, y]).toEqual([expect.closeTo(123), expect.closeTo(45)]);
  });

  // rows are the first, columns the second of the array's remaining axes
  it.each<[string, Plane, number, number, { row: number; column: number }]>([
    ["as stored", plane(["x", 1, 4, 1], ["y", 1, 3, 1]), 3, 4, { row: 0, column: 0 }],
    ["flipped to the side", plane(["x", -1, 4, 1], ["y", 1, 3, 1]), 3, 4, { row: 0, column: 3 }],
    ["upside down", plane(["x", 1, 4, 1], ["z", -1, 3, 1]), 3, 4, { row: 2, column: 0 }],
    ["turned: rows run to the right", plane(["y", 1, 4, 1], ["x", 1, 3, 1]), 4, 3, { row: 0, column: 0 }],
    ["turned and flipped", plane(["z", -1, 4, 1], ["y", 1, 3, 1]), 4, 3, { row: 3, column: 0 }],
  ])("shows at the top left: %s", (_, shape, rows, columns, expected) => {
    const map = textureMap(shape, place(shape, { width: 400, height: 300 }, 1, [0, 0]), rows, columns);
    expect(texelAt(map, 0.5, 0.5, rows, columns)).toEqual(expected);
    expect(texelAt(map, -0.5, 0.5, rows, columns)).toBeNull();
  });

  it("shows a coarse level in the place of the exact one", () => {
    for (const sign of [1, -1] as const) {
      const shape = plane(["x", sign, 101, 1], ["y", 1, 101, 1]);
      const placement = place(shape, viewport, 1, [0, 0]);
      const [exact, coarse] = [textureMap(shape, placement, 101, 101), textureMap(shape, placement, 51, 51)];
      for (let x = 110.5; x < 690; x += 7) {
        const fine = texelAt(exact, x, 300.5, 101, 101);
        const rough = texelAt(coarse, x, 300.5, 51, 51);
        expect(rough?.column).toBe(Math.floor((fine?.column ?? -2) / 2));
      }
    }
  });
});

describe("levels", () => {
  it.each([
    [512, 512, 1],
    [512, 256, 2],
    [101, 51, 2],
    [5, 2, 4],
    [7, 1, 8],
    [1, 1, 1],
  ])("%i voxels as %i: %i in one", (full, reduced, factor) => {
    expect(levelFactor(full, reduced)).toBe(factor);
  });

  it("finds the coarse slice that holds an index", () => {
    expect(indexInLevel(4, 5, 3)).toBe(2);
    expect(indexInLevel(3, 5, 5)).toBe(3);
    expect(indexInLevel(0, 1, 1)).toBe(0);
  });
});
