// The shapes that a person draws, as points in the patient (L, P, S in mm), and their measures. Nothing here knows a screen:
// a shape means the same on every view of the same patient.
//
// Points by kind: length 2 ends · bidirectional 4, the ends of the long and of the short axis · angle 3, its vertex in the
// middle · rectangle 4 corners in order · ellipse 4, the ends of one and of the other axis · freehand 3 or more corners, closed.
import type { Vector3 } from "../contract";

export type Kind = "length" | "bidirectional" | "angle" | "ellipse" | "rectangle" | "freehand";

export const KINDS: readonly Kind[] = ["length", "bidirectional", "angle", "ellipse", "rectangle", "freehand"];

/** Number of points that complete a kind; a freehand line is complete when it is closed. */
export const POINTS: Readonly<Record<Kind, number>> = { length: 2, bidirectional: 4, angle: 3, ellipse: 4, rectangle: 4, freehand: 3 };

const CURVE_STEPS = 64; // corners that an ellipse is drawn and counted with; its area is from the formula

export const add = (a: Vector3, b: Vector3): Vector3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vector3, b: Vector3): Vector3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const times = (a: Vector3, factor: number): Vector3 => [a[0] * factor, a[1] * factor, a[2] * factor];
export const dot = (a: Vector3, b: Vector3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a: Vector3, b: Vector3): Vector3 => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const norm = (a: Vector3): number => Math.hypot(...a);
export const middle = (a: Vector3, b: Vector3): Vector3 => times(add(a, b), 0.5);

/** Distance of two points in mm. */
export function distance(a: Vector3, b: Vector3): number {
  return norm(subtract(a, b));
}

/** Angle at `vertex` between its arms, 0 to 180 degrees; 0 where an arm has no length. */
export function angle(one: Vector3, vertex: Vector3, other: Vector3): number {
  const [a, b] = [subtract(one, vertex), subtract(other, vertex)];
  // atan2 stays exact where acos would lose digits: near 0 and 180 degrees
  return (Math.atan2(norm(cross(a, b)), dot(a, b)) * 180) / Math.PI;
}

/** Area of a flat closed polygon in mm2 (half the length of the summed cross products). */
export function polygonArea(corners: readonly Vector3[]): number {
  const [origin] = corners;
  if (origin === undefined) return 0;
  let sum: Vector3 = [0, 0, 0];
  corners.forEach((corner, at) => {
    const next = corners[(at + 1) % corners.length] ?? corner;
    sum = add(sum, cross(subtract(corner, origin), subtract(next, origin)));
  });
  return norm(sum) / 2;
}

export function perimeter(corners: readonly Vector3[]): number {
  return corners.reduce((sum, corner, at) => sum + distance(corner, corners[(at + 1) % corners.length] ?? corner), 0);
}

/** The points of a shape that can say where it is; fewer than it needs: null. */
function complete(kind: Kind, points: readonly Vector3[]): readonly [Vector3, Vector3, Vector3, Vector3] | null {
  if (points.length < POINTS[kind]) return null;
  const [a, b, c = b, d = c] = points as [Vector3, Vector3, Vector3?, Vector3?];
  return [a, b, c, d];
}

/** The line around a closed shape; empty for shapes that enclose nothing. */
export function corners(kind: Kind, points: readonly Vector3[]): Vector3[] {
  const known = complete(kind, points);
  if (known === null) return [];
  if (kind === "rectangle" || kind === "freehand") return [...points];
  if (kind !== "ellipse") return [];
  const [a, b, c, d] = known;
  const center = middle(a, b);
  const [major, minor] = [times(subtract(b, a), 0.5), times(subtract(d, c), 0.5)];
  return Array.from({ length: CURVE_STEPS }, (_, step) => {
    const turn = (2 * Math.PI * step) / CURVE_STEPS;
    return add(center, add(times(major, Math.cos(turn)), times(minor, Math.sin(turn))));
  });
}

/** The open lines that a shape is drawn with, as runs of points. */
export function lines(kind: Kind, points: readonly Vector3[]): Vector3[][] {
  if (kind === "length" || kind === "angle") return [[...points]];
  if (kind === "bidirectional") return [points.slice(0, 2), points.slice(2, 4)].filter((run) => run.length === 2);
  return [];
}

/** What geometry alone says of a shape: mm, mm2, degrees. */
export interface Measures {
  length_mm?: number;
  short_mm?: number;
  angle_deg?: number;
  area_mm2?: number;
  perimeter_mm?: number;
}

export function measures(kind: Kind, points: readonly Vector3[]): Measures {
  const known = complete(kind, points);
  if (known === null) return {};
  const [a, b, c, d] = known;
  switch (kind) {
    case "length":
      return { length_mm: distance(a, b) };
    case "bidirectional": {
      const [one, other] = [distance(a, b), distance(c, d)];
      return { length_mm: Math.max(one, other), short_mm: Math.min(one, other) };
    }
    case "angle":
      return { angle_deg: angle(a, b, c) };
    case "ellipse":
      return { area_mm2: (Math.PI * distance(a, b) * distance(c, d)) / 4, perimeter_mm: perimeter(corners(kind, points)) };
    case "rectangle":
    case "freehand":
      return { area_mm2: polygonArea(points), perimeter_mm: perimeter(points) };
  }
}

/**
 * A shape of `kind` from a drag between two spots of a plane whose sides point along the unit vectors `right` and `down`.
 * Bidirectional begins with a short axis of a third, in the middle and at a right angle; its ends are then moved.
 */
export function fromDrag(kind: Kind, from: Vector3, to: Vector3, right: Vector3, down: Vector3): Vector3[] {
  const across = subtract(to, from);
  const [w, h] = [times(right, dot(across, right)), times(down, dot(across, down))];
  const center = middle(from, to);
  switch (kind) {
    case "rectangle":
      return [from, add(from, w), add(from, add(w, h)), add(from, h)];
    case "ellipse":
      return [subtract(center, times(w, 0.5)), add(center, times(w, 0.5)), subtract(center, times(h, 0.5)), add(center, times(h, 0.5))];
    case "bidirectional": {
      const aside = subtract(times(down, dot(across, right)), times(right, dot(across, down))); // across, turned by 90 degrees
      return [from, to, subtract(center, times(aside, 1 / 6)), add(center, times(aside, 1 / 6))];
    }
    default:
      return [from, to];
  }
}

/** The shape after its point `at` was moved to `to`: rectangles and ellipses keep their right angles. */
export function movedPoint(kind: Kind, points: readonly Vector3[], at: number, to: Vector3): Vector3[] {
  const next = points.map((point, position) => (position === at ? to : point));
  if (kind === "rectangle") {
    const known = complete(kind, points);
    const fixed = points[(at + 2) % 4];
    if (known === null || fixed === undefined) return next;
    const [a, b, , d] = known;
    const [u, v] = [subtract(b, a), subtract(d, a)];
    const diagonal = subtract(to, fixed);
    const along = (side: Vector3): Vector3 => (norm(side) === 0 ? [0, 0, 0] : times(side, dot(diagonal, side) / dot(side, side)));
    // from the fixed corner, one side and then the other leads to the moved one
    const [first, second] = at % 2 === 0 ? [along(v), along(u)] : [along(u), along(v)];
    const order = [fixed, add(fixed, at % 2 === 0 ? second : first), to, add(fixed, at % 2 === 0 ? first : second)];
    return next.map((_, position) => order[(position - at + 6) % 4] ?? to);
  }
  if (kind === "ellipse") {
    const known = complete(kind, points);
    if (known === null) return next;
    const center = middle(known[0], known[1]);
    const axis = at < 2 ? subtract(known[1], known[0]) : subtract(known[3], known[2]);
    if (norm(axis) === 0) return next;
    const half = times(axis, dot(subtract(to, center), axis) / dot(axis, axis)); // only along its own axis
    const [low, high] = at < 2 ? [0, 1] : [2, 3];
    return points.map((point, position) =>
      position === at ? add(center, half) : position === low || position === high ? subtract(center, half) : point,
    );
  }
  return next;
}

/** The whole shape moved. */
export function movedBy(points: readonly Vector3[], by: Vector3): Vector3[] {
  return points.map((point) => add(point, by));
}
