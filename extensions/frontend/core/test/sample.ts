// A series as the gateway describes one: 40 axial slices of 64 x 80 voxels.
import type { Plane, SeriesMeta } from "../src/contract";

const side = (axis: "z" | "y" | "x", count: number, spacing: number, direction: [number, number, number], sign: 1 | -1 = 1) => ({
  axis,
  sign,
  count,
  spacing,
  direction,
});

export const planes: Plane[] = [
  { name: "axial", axis: "z", count: 40, spacing: 2, right: side("x", 80, 0.5, [1, 0, 0]), down: side("y", 64, 0.5, [0, 1, 0]) },
  { name: "coronal", axis: "y", count: 64, spacing: 0.5, right: side("x", 80, 0.5, [1, 0, 0]), down: side("z", 40, 2, [0, 0, -1], -1) },
  { name: "sagittal", axis: "x", count: 80, spacing: 0.5, right: side("y", 64, 0.5, [0, 1, 0]), down: side("z", 40, 2, [0, 0, -1], -1) },
];

export function sample(changes: Partial<SeriesMeta> = {}): SeriesMeta {
  return {
    dataset: "lungs",
    series: "ct-0123456789ab",
    version: "aaaabbbbccccdddd",
    kind: "image",
    modality: "CT",
    dims: ["z", "y", "x"],
    shape: [40, 64, 80],
    levels: [[40, 64, 80]],
    dtype: "int16",
    affine: [
      [0, 0, 0.5, -20],
      [0, 0.5, 0, -16],
      [2, 0, 0, 100],
      [0, 0, 0, 1],
    ],
    spacing: [2, 0.5, 0.5],
    planes,
    window: [40, 400],
    units: "HU",
    rescale: { slope: 1, intercept: 0, applied: true, per_slice: null },
    photometric: "MONOCHROME2",
    body_part: "CHEST",
    description: "Thin slices",
    laterality: null,
    view: null,
    regular: true,
    irregular_reason: null,
    axis: null,
    samples: [],
    suv: null,
    space: "patient",
    tiles: null,
    segments: [],
    source_series: null,
    segmentations: [],
    frame: "f1",
    ...changes,
  };
}
