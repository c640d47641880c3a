import { describe, expect, it } from "vitest";
import type { Affine, Vector3 } from "../src/contract";
import { toPatient } from "../src/geometry";
import { extentOf, gridOf, middleOf, straight, turnedIn, viewOf, VIEWS } from "../src/mpr/frame";
import { dot } from "../src/tools/shapes";

const close = (vector: Vector3) => vector.map((value) => expect.closeTo(value, 9) as number);
const affine: Affine = [
  [0.3, 0.02, 0.49, -20],
  [-0.4, 0.48, 0.01, -16],
  [2, 0.1, -0.05, 100],
  [0, 0, 0, 1],
];

describe("three planes", () => {
  it.each([
    ["axial", [1, 0, 0], [0, 1, 0]],
    ["coronal", [1, 0, 0], [0, 0, -1]],
    ["sagittal", [0, 1, 0], [0, 0, -1]],
  ] as const)("%s hangs as radiologists hang it", (name, right, down) => {
    const view = viewOf(straight([0, 0, 0]), name);
    expect(view.right).toEqual(close(right));
    expect(view.down).toEqual(close(down));
  });

  it("tilt the other two when lines are turned in one, which stays", () => {
    const before = straight([1, 2, 3]);
    const after = turnedIn(before, "axial", Math.PI / 6);
    expect(viewOf(after, "axial").right).toEqual(close(viewOf(before, "axial").right));
    // clockwise on the screen: the sagittal plane's normal goes from left towards the back
    expect(viewOf(after, "sagittal").normal).toEqual(close([Math.cos(Math.PI / 6), 0.5, 0]));
    expect(turnedIn(after, "axial", -Math.PI / 6).left).toEqual(close(before.left));
  });

  it("stay at right angles whatever is turned", () => {
    let frame = straight([0, 0, 0]);
    for (const [name, angle] of [
      ["axial", 0.7],
      ["coronal", -1.1],
      ["sagittal", 2.4],
      ["axial", Math.PI / 2],
    ] as const)
      frame = turnedIn(frame, name, angle);
    for (const name of VIEWS) {
      const { right, down, normal } = viewOf(frame, name);
      for (const [a, b] of [
        [right, down],
        [down, normal],
        [normal, right],
      ] as const)
        expect(dot(a, b)).toBeCloseTo(0, 9);
      for (const side of [right, down, normal]) expect(Math.hypot(...side)).toBeCloseTo(1, 9);
    }
  });

  it("have in their middle the point of the plane nearest to the volume's", () => {
    const frame = straight([10, 20, 30]);
    expect(middleOf(frame, viewOf(frame, "axial"), [1, 2, 3])).toEqual(close([1, 2, 30]));
  });
});

describe("grids", () => {
  it("find the voxel of a level at a point: level 0 and one of half the size", () => {
    const point = toPatient(affine, { z: 4, y: 9, x: 3 });
    expect(gridOf(affine, [1, 1, 1]).at(point)).toEqual(close([4, 9, 3]));
    // voxels 4 and 5 lie in voxel 2 of half the size, whose middle is 4.5
    expect(gridOf(affine, [2, 2, 2]).at(point)).toEqual(close([1.75, 4.25, 1.25]));
    expect(gridOf(affine, [2, 1, 1]).along([0.3, -0.4, 2])).toEqual(close([0.5, 0, 0]));
  });

  it("know the volume's middle", () => {
    expect(extentOf(affine, [10, 20, 30]).middle).toEqual(close(toPatient(affine, { z: 4.5, y: 9.5, x: 14.5 })));
  });
});
