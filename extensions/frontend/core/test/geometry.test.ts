import { describe, expect, it } from "vitest";
import type { Affine } from "../src/contract";
import { patientText, spotOf, toPatient, toVoxel, voxelAt } from "../src/geometry";
import { followed, indexLike } from "../src/links";
import { createStore, initialState, planeOf } from "../src/state";
import { report, reportText, type Mark } from "../src/tools/marks";
import { planes, sample } from "./sample";

const [axial, coronal] = planes as [(typeof planes)[0], (typeof planes)[0]];
const oblique: Affine = [
  [0.1, 0.02, 0.49, -20],
  [-0.4, 0.48, 0.01, -16],
  [2, 0.1, -0.05, 100],
  [0, 0, 0, 1],
];

describe("places", () => {
  it("go from the screen to the voxel and back, with flipped sides", () => {
    // the coronal's first row is the highest slice
    expect(voxelAt(coronal, 5, { right: 0.5, down: 0.5 })).toEqual({ z: 39, y: 5, x: 0 });
    expect(spotOf(coronal, { z: 39, y: 5, x: 0 })).toEqual({ right: 0.5, down: 0.5, index: 5 });
  });

  it("go to the patient and back through an oblique affine", () => {
    const point = toPatient(oblique, { z: 3, y: 7.25, x: 11 });
    expect(point[0]).toBeCloseTo(0.3 + 0.145 + 5.39 - 20);
    const voxel = toVoxel(oblique, point);
    expect([voxel.z, voxel.y, voxel.x]).toEqual([expect.closeTo(3), expect.closeTo(7.25), expect.closeTo(11)]);
  });

  it("are written with the side that they lie on", () => {
    expect(patientText([12.34, -5, 0.04])).toBe("L 12.3  A 5.0  H 0.0 mm");
  });
});

describe("links", () => {
  const other = sample({
    series: "mr-1",
    affine: [
      [0, 0, 1, -20],
      [0, 1, 0, -16],
      [4, 0, 0, 90],
      [0, 0, 0, 1],
    ],
    shape: [20, 32, 40],
    levels: [[20, 32, 40]],
  });

  it("show the slice where the other one's middle lies", () => {
    const meta = sample();
    // slice 20 lies at 140 mm, which is slice 12.5 of the other
    expect(indexLike(meta, { ...initialState(meta), index: 20 }, other, "axial")).toBe(13);
    expect(indexLike(meta, { ...initialState(meta), index: 20 }, { ...other, frame: "elsewhere" }, "axial")).toBe(20);
    expect(indexLike(meta, { ...initialState(meta), index: 39 }, other, "axial")).toBe(19);
  });

  it("take over only what is linked", () => {
    const meta = sample();
    const from = { meta, store: createStore(initialState(meta)), linked: () => ["index"] as const };
    const to = { meta: other, store: createStore(initialState(other)), linked: () => ["zoom"] as const };
    const state = { ...initialState(meta), zoom: 3, window: [1, 2] as const, index: 4 };
    expect(followed(from, state, to)).toEqual({ ...initialState(other), zoom: 3 });
  });
});

describe("reports", () => {
  const mark = (kind: Mark["kind"], points: Mark["points"]): Mark => ({
    id: "1",
    kind,
    plane: "axial",
    index: 4,
    frame: 0,
    points,
    label: "",
  });
  const meta = sample();
  const slice = { rows: 64, columns: 80, samples: 1 as const, values: Int16Array.from({ length: 64 * 80 }, (_, at) => at % 80) };

  it("measure voxels of 0.5 mm in mm, and the values inside", () => {
    const found = report(
      meta,
      planeOf(meta, "axial"),
      mark("rectangle", [
        [4, 9.5, 9.5],
        [4, 9.5, 13.5],
        [4, 13.5, 13.5],
        [4, 13.5, 9.5],
      ]),
      slice,
    );
    expect(found).toMatchObject({ area_mm2: 4, voxels: 16, mean: expect.closeTo(11.5), min: 10, max: 13 });
    expect(reportText(meta, axial, found)).toEqual(["4.0 mm²", "11.5 ± 1.1 HU", "10 to 13 HU"]);
  });

  it("are in pixels where nothing tells how large those are", () => {
    const ultrasound = sample({
      affine: null,
      spacing: [null, null],
      dims: ["y", "x"],
      planes: [{ ...axial, right: { ...axial.right, spacing: 1 }, down: { ...axial.down, spacing: 1 } }],
    });
    const found = report(
      ultrasound,
      planeOf(ultrasound, "axial"),
      mark("length", [
        [4, 0, 0],
        [4, 3, 4],
      ]),
      null,
    );
    expect(reportText(ultrasound, planeOf(ultrasound, "axial"), found)).toEqual(["5.0 px"]);
    const xray = sample({ affine: null, spacing: [0.1, 0.1], dims: ["y", "x"] });
    expect(reportText(xray, axial, { length_mm: 5 })).toEqual(["5.0 mm"]);
  });

  it("measure a length between voxels", () => {
    expect(
      reportText(
        meta,
        axial,
        report(
          meta,
          planeOf(meta, "axial"),
          mark("length", [
            [4, 0, 0],
            [4, 0, 41],
          ]),
          null,
        ),
      ),
    ).toEqual(["20.5 mm"]);
    expect(report(meta, planeOf(meta, "axial"), mark("point", [[4, 0, 0]]), slice)).toEqual({});
  });
});
