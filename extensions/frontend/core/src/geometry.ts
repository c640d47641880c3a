// Places: from a shown slice to voxels to the patient (L, P, S in mm), and back.
import type { Affine, ArrayAxis, Plane, Side, Vector3 } from "./contract";

export type Voxel = Readonly<Record<ArrayAxis, number>>;

/** A point on a shown slice, in voxels from its left and its top edge: the first voxel covers [0, 1). */
export interface Spot {
  right: number;
  down: number;
}

/** Spot along one side to a voxel index, whole at the voxel's centre. */
function indexAlong(side: Side, at: number): number {
  return side.sign === 1 ? at - 0.5 : side.count - at - 0.5;
}

function spotAlong(side: Side, index: number): number {
  return side.sign === 1 ? index + 0.5 : side.count - index - 0.5;
}

/** The voxel (with fractions) at a spot of slice `index`. */
export function voxelAt(plane: Plane, index: number, spot: Spot): Voxel {
  const voxel = { z: 0, y: 0, x: 0 };
  voxel[plane.axis] = index;
  voxel[plane.right.axis] = indexAlong(plane.right, spot.right);
  voxel[plane.down.axis] = indexAlong(plane.down, spot.down);
  return voxel;
}

/** The spot of a voxel on the slice that it is nearest to, and that slice's index with its fraction. */
export function spotOf(plane: Plane, voxel: Voxel): Spot & { index: number } {
  return {
    right: spotAlong(plane.right, voxel[plane.right.axis]),
    down: spotAlong(plane.down, voxel[plane.down.axis]),
    index: voxel[plane.axis],
  };
}

/** Patient coordinates of a voxel: `affine` maps (z, y, x, 1) to (L, P, S, 1). */
export function toPatient(affine: Affine, { z, y, x }: Voxel): Vector3 {
  const along = (row: 0 | 1 | 2): number => {
    const [a, b, c, d] = affine[row];
    return a * z + b * y + c * x + d;
  };
  return [along(0), along(1), along(2)];
}

/** The voxel (with fractions) at patient coordinates. */
export function toVoxel(affine: Affine, point: Vector3): Voxel {
  const [r0, r1, r2] = [affine[0], affine[1], affine[2]];
  const cross = (u: Vector3, v: Vector3): Vector3 => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const dot = (u: Vector3, v: Vector3): number => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
  const column = (at: 0 | 1 | 2): Vector3 => [r0[at], r1[at], r2[at]];
  const [cz, cy, cx] = [column(0), column(1), column(2)];
  const from: Vector3 = [point[0] - r0[3], point[1] - r1[3], point[2] - r2[3]];
  const volume = dot(cz, cross(cy, cx));
  return { z: dot(from, cross(cy, cx)) / volume, y: dot(cz, cross(from, cx)) / volume, x: dot(cz, cross(cy, from)) / volume };
}

/** Where an image has no place in the patient, its own mm: (x, y, z) from the centre of its first voxel. */
export function ownAffine(spacing: { z: number; y: number; x: number }): Affine {
  return [
    [0, 0, spacing.x, 0],
    [0, spacing.y, 0, 0],
    [spacing.z, 0, 0, 0],
    [0, 0, 0, 1],
  ];
}

/** "L 12.3  P 4.5  S −30.1 mm": coordinates with the letter of the side that they lie on. */
export function patientText(point: Vector3): string {
  const names = [
    ["L", "R"],
    ["P", "A"],
    ["H", "F"],
  ] as const;
  return `${point.map((value, axis) => `${names[axis]?.[value < 0 ? 1 : 0] ?? ""} ${Math.abs(value).toFixed(1)}`).join("  ")} mm`;
}
