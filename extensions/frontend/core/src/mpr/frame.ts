// Three planes at right angles through one point of the patient, which can be turned: where each pixel of each view lies. Pure.
import type { Affine, Vector3 } from "../contract";
import { add, dot, subtract, times } from "../tools/shapes";

/** The crosshair: `center` in mm (L, P, S), and three unit vectors at right angles that start as left, back and head. */
export interface Frame {
  center: Vector3;
  left: Vector3;
  back: Vector3;
  head: Vector3;
}

export const VIEWS = ["axial", "coronal", "sagittal"] as const;
export type ViewName = (typeof VIEWS)[number];

export interface View {
  right: Vector3;
  down: Vector3;
  normal: Vector3;
}

export function straight(center: Vector3): Frame {
  return { center, left: [1, 0, 0], back: [0, 1, 0], head: [0, 0, 1] };
}

/** Which way each view is hung, as the planes of slice2d are: its right side, and whether normal x right leads down. */
const HUNG: Readonly<Record<ViewName, { right: Vector3; sense: 1 | -1 }>> = {
  axial: { right: [1, 0, 0], sense: 1 },
  coronal: { right: [1, 0, 0], sense: 1 },
  sagittal: { right: [0, 1, 0], sense: -1 },
};

const cross = (a: Vector3, b: Vector3): Vector3 => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (vector: Vector3): Vector3 => times(vector, 1 / Math.hypot(...vector));

/**
 * Which way a view looks. Its normal is the frame's; its sides stay as near to the patient's as they can, so that a view whose
 * lines are turned stays where it is while the other two tilt.
 */
export function viewOf(frame: Frame, name: ViewName): View {
  const normal = name === "axial" ? frame.head : name === "coronal" ? frame.back : frame.left;
  const { right: wanted, sense } = HUNG[name];
  const flat = subtract(wanted, times(normal, dot(wanted, normal)));
  // where the normal came to lie along the wanted side, the frame's own vector stands in
  const right = Math.hypot(...flat) > 0.05 ? unit(flat) : name === "sagittal" ? frame.back : frame.left;
  return { right, down: times(cross(normal, right), sense), normal };
}

function turnedAbout(axis: Vector3, vector: Vector3, angle: number): Vector3 {
  // Rodrigues' formula
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return add(add(times(vector, cos), times(cross(axis, vector), sin)), times(axis, dot(axis, vector) * (1 - cos)));
}

/** The frame after the lines in view `name` were turned by `angle` (clockwise on the screen, radians): the other two views tilt. */
export function turnedIn(frame: Frame, name: ViewName, angle: number): Frame {
  const { right, down, normal } = viewOf(frame, name);
  // clockwise on the screen takes right to down: the axis about which that is a positive turn is right x down
  const axis = cross(right, down);
  const turn = (vector: Vector3): Vector3 => (Math.abs(dot(vector, normal)) > 0.5 ? vector : unit(turnedAbout(axis, vector, angle)));
  return { center: frame.center, left: turn(frame.left), back: turn(frame.back), head: turn(frame.head) };
}

/** What is in the middle of a view: the point of its plane that is nearest to `focus`, the middle of the volume. */
export function middleOf(frame: Frame, view: View, focus: Vector3): Vector3 {
  const from = subtract(focus, frame.center);
  return add(frame.center, add(times(view.right, dot(from, view.right)), times(view.down, dot(from, view.down))));
}

/** Index (z, y, x) in a level, and how it changes along a vector in mm: the rows of the inverse affine. */
export interface Grid {
  at(point: Vector3): Vector3;
  along(vector: Vector3): Vector3;
}

/** The grid of a level whose voxels are `factors` (z, y, x) times as long as those of level 0. */
export function gridOf(affine: Affine, factors: Vector3): Grid {
  const [r0, r1, r2] = [affine[0], affine[1], affine[2]];
  const column = (at: 0 | 1 | 2): Vector3 => [r0[at], r1[at], r2[at]];
  const [z, y, x] = [column(0), column(1), column(2)];
  const volume = dot(z, cross(y, x));
  const rows = [cross(y, x), cross(x, z), cross(z, y)].map((row, axis) => times(row, 1 / volume / (factors[axis] ?? 1)));
  const along = (vector: Vector3): Vector3 => [dot(rows[0] ?? z, vector), dot(rows[1] ?? y, vector), dot(rows[2] ?? x, vector)];
  return {
    along,
    at(point) {
      const exact = along(subtract(point, [r0[3], r1[3], r2[3]]));
      // voxel n of a level covers [n, n + 1) times its factor
      return [exact[0] + 0.5 / factors[0] - 0.5, exact[1] + 0.5 / factors[1] - 0.5, exact[2] + 0.5 / factors[2] - 0.5];
    },
  };
}

/** The length of the volume's diagonal in mm, and its middle. */
export function extentOf(affine: Affine, shape: Vector3): { middle: Vector3; diagonal: number } {
  const at = (z: number, y: number, x: number): Vector3 => {
    const row = (r: 0 | 1 | 2): number => affine[r][0] * z + affine[r][1] * y + affine[r][2] * x + affine[r][3];
    return [row(0), row(1), row(2)];
  };
  const [low, high] = [at(-0.5, -0.5, -0.5), at(shape[0] - 0.5, shape[1] - 0.5, shape[2] - 0.5)];
  return { middle: times(add(low, high), 0.5), diagonal: Math.hypot(...subtract(high, low)) };
}
