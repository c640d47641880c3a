// The server's pictures: what is asked for, and where the picture lies.
import { describe, expect, it } from "vitest";
import { place, textureMap } from "../src/placement";
import { initialState, shownPlane } from "../src/state";
import { pictureQuery, pictureTransform } from "../src/ui/picture";
import { sample } from "./sample";

const meta = sample();
const state = { ...initialState(meta), window: [50, 350] as const };
const coarser = sample({ levels: [[40, 64, 80], [20, 32, 40]] }); // prettier-ignore

describe("pictures", () => {
  it("are asked for after the window, under the series' version", () => {
    expect(pictureQuery(coarser, { ...state, index: 5 }, 1)).toEqual({
      plane: "axial",
      index: "2",
      level: "1",
      format: "webp",
      center: "50",
      width: "350",
      v: meta.version,
    });
  });

  it("of slices with slopes of their own have the window in their own values", () => {
    const pairs: [number, number][] = [1, 2, 3].map((slope) => [slope, 0]);
    const pet = sample({ rescale: { slope: 1, intercept: 0, applied: false, per_slice: pairs } });
    const { center, width } = pictureQuery(pet, { ...state, window: [300, 600], index: 2 }, 0);
    expect([Number(center), Number(width)]).toEqual([200, 400]); // 200 stored are 600 Bq/ml, as 300 at the mean slope of 2
  });

  it("of colour have no window", () => {
    expect(pictureQuery(sample({ samples: ["red", "green", "blue"] }), state, 0)).not.toHaveProperty("center");
  });

  it.each([
    [0, [false, false]],
    [90, [false, false]],
    [270, [true, false]],
  ] as const)("lie where the slice does, turned by %i degrees", (rotation, flip) => {
    const turned = { ...state, rotation, flip };
    const plane = shownPlane(meta, turned);
    const [right, down] = [plane.right.count, plane.down.count];
    const [rows, columns] = plane.right.axis === "x" ? [down, right] : [right, down];
    const map = textureMap(plane, place(plane, { width: 300, height: 200 }, 1.5, [7, -3]), rows, columns);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = (/\((.*)\)/.exec(pictureTransform(map, 2))?.[1] ?? "").split(",").map(Number);
    // voxel (2.5, 1.5) in the picture, to CSS pixels, to device pixels, and back through the map
    const [x, y] = [(a * 2.5 + c * 1.5 + e) * 2, (b * 2.5 + d * 1.5 + f) * 2];
    expect(map[0] * x + map[1] * y + map[2]).toBeCloseTo(2.5, 4);
    expect(map[3] * x + map[4] * y + map[5]).toBeCloseTo(1.5, 4);
  });
});
