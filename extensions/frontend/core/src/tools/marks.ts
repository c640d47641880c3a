// Marks: what a person drew on a series, as plain values that Python reads and sets (cohortlab/viewer/widget.py). Points are voxel
// coordinates (z, y, x) of level 0, whole at voxel centres; measures are computed in the patient's millimetres.
import type { Affine, Plane, SeriesMeta, Slice, Vector3 } from "../contract";
import { ownAffine, spotOf, toPatient, voxelAt, type Spot, type Voxel } from "../geometry";
import { physical } from "../values";
import type { Corner, Statistics } from "./region";
import { statistics } from "./region";
import { corners, measures, POINTS, type Kind, type Measures } from "./shapes";

export interface Mark {
  id: string;
  kind: Kind | "point";
  plane: string;
  index: number;
  frame: number;
  points: readonly Vector3[];
  label: string;
}

export const voxelOf = ([z, y, x]: Vector3): Voxel => ({ z, y, x });
export const pointOf = ({ z, y, x }: Voxel): Vector3 => [z, y, x];

/** The series' own place in mm; of an image without one, its pixels' size. */
export function affineOf(meta: SeriesMeta): Affine {
  if (meta.affine !== null) return meta.affine;
  const spacing = { z: 1, y: 1, x: 1 };
  for (const plane of meta.planes) {
    spacing[plane.axis] = plane.spacing;
    spacing[plane.right.axis] = plane.right.spacing;
    spacing[plane.down.axis] = plane.down.spacing;
  }
  return ownAffine(spacing);
}

/** Whether lengths in a plane are known in mm: an ultrasound or a photograph may only have pixels. */
export function inMillimetres(meta: SeriesMeta, plane: Plane): boolean {
  if (meta.affine !== null) return true;
  const axes = meta.dims.filter((name) => name === "z" || name === "y" || name === "x");
  return [plane.right, plane.down].every(({ axis }) => (meta.spacing[axes.indexOf(axis)] ?? null) !== null);
}

/** A mark's points in mm. */
export function inPatient(meta: SeriesMeta, points: readonly Vector3[]): Vector3[] {
  const affine = affineOf(meta);
  return points.map((point) => toPatient(affine, voxelOf(point)));
}

/** Whether the mark lies on this slice: marks are seen on the slice that they were drawn on. */
export function isOn(mark: Mark, plane: string, index: number, frame: number): boolean {
  return mark.plane === plane && mark.index === index && mark.frame === frame;
}

/** A mark's points as they lie on the shown (turned) plane. */
export function spots(plane: Plane, points: readonly Vector3[]): Spot[] {
  return points.map((point) => spotOf(plane, voxelOf(point)));
}

export function pointAt(plane: Plane, index: number, spot: Spot): Vector3 {
  return pointOf(voxelAt(plane, index, spot));
}

/** Places of points in a slice's own rows and columns. */
export function cornersIn(plane: Plane, points: readonly Vector3[]): Corner[] {
  const [row = "y", column = "x"] = (["z", "y", "x"] as const).filter((axis) => axis !== plane.axis);
  return points.map((point) => {
    const voxel = voxelOf(point);
    return { row: voxel[row], column: voxel[column] };
  });
}

export interface Report extends Measures, Partial<Statistics> {}

/** What a mark measures: lengths and areas in mm, and of a closed one the values inside in the series' units. */
export function report(meta: SeriesMeta, plane: Plane, mark: Mark, slice: Slice | null): Report {
  if (mark.kind === "point") return {};
  const lengths = measures(mark.kind, inPatient(meta, mark.points));
  const line = corners(mark.kind, mark.points); // affine: the same corners in voxels as in mm
  if (line.length === 0 || slice === null || slice.samples !== 1) return lengths;
  const { slope, intercept } = physical(meta);
  return { ...lengths, ...statistics(slice, cornersIn(plane, line), slope, intercept) };
}

/** Whether all of a mark's points are there. */
export function isComplete(mark: Mark): boolean {
  return mark.points.length >= (mark.kind === "point" ? 1 : POINTS[mark.kind]);
}

const number = (value: number, digits = 1): string => value.toFixed(digits).replace("-", "−");

/** The lines beside a mark on the screen. Where no mm are known, lengths are in pixels and areas in pixels squared. */
export function reportText(meta: SeriesMeta, plane: Plane, found: Report): string[] {
  const units = meta.units === null ? "" : ` ${meta.units}`;
  const known = inMillimetres(meta, plane);
  const length = known ? "mm" : "px";
  const lines: string[] = [];
  if (found.length_mm !== undefined) {
    lines.push(
      found.short_mm === undefined
        ? `${number(found.length_mm)} ${length}`
        : `${number(found.length_mm)} × ${number(found.short_mm)} ${length}`,
    );
  }
  if (found.angle_deg !== undefined) lines.push(`${number(found.angle_deg)}°`);
  if (found.area_mm2 !== undefined)
    lines.push(known && found.area_mm2 >= 1000 ? `${number(found.area_mm2 / 100)} cm²` : `${number(found.area_mm2)} ${length}²`);
  if ((found.voxels ?? 0) > 0) {
    const digits = Math.abs(found.mean ?? 0) < 10 && (found.sd ?? 0) < 10 ? 2 : 1;
    lines.push(`${number(found.mean ?? 0, digits)} ± ${number(found.sd ?? 0, digits)}${units}`);
    lines.push(`${number(found.min ?? 0, digits - 1)} to ${number(found.max ?? 0, digits - 1)}${units}`);
  }
  return lines;
}
