"""Annotations: what a mark is, and what it measures, from its points and the voxels under it.

A mark's points are voxel coordinates (z, y, x) of level 0, whole numbers at voxel centres. Lengths and areas are in mm by the series'
affine, or by its voxel size where it has no place; where neither is known they are in voxels. Values are read from the full-size slice
and are those of all voxels whose centre lies inside (PS3.16 TID 1410 and 1500 name the same quantities).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import Rescale, SeriesAttributes
from cohortlab.viewer.planes import Plane, plane_named
from cohortlab.viewer.slices import Series, read_slice

POINTS: Final[Mapping[str, tuple[int, int]]] = {
    "point": (1, 1),
    "length": (2, 2),
    "angle": (3, 3),
    "bidirectional": (4, 4),
    "ellipse": (4, 4),
    "rectangle": (4, 4),
    "freehand": (3, 4096),
}
"""Kinds of marks with the fewest and most points that they have."""

AREAS: Final = frozenset({"ellipse", "rectangle", "freehand"})
MOST_MARKS: Final = 10_000
_LABEL = 200  # letters of a mark's label
_FIELDS = {"id", "kind", "plane", "index", "frame", "points", "label"}

type Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What a mark measures; None where it does not. Lengths in `unit` (mm or voxel), the angle in degrees, values in `values_unit`."""

    length: float | None = None
    width: float | None = None
    angle: float | None = None
    area: float | None = None
    unit: str = "mm"
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    voxels: int | None = None
    values_unit: str = ""


def checked(mark: Any) -> dict[str, Any]:
    """A mark with all its fields, as traits keep it. Raises `InvalidInputError` saying what is wrong."""
    if not isinstance(mark, Mapping) or set(mark) - _FIELDS or not {"kind", "plane", "index", "points"} <= set(mark):
        raise InvalidInputError("A mark has kind, plane, index and points, and may have id, frame and label.")
    kind, points = mark["kind"], mark["points"]
    if kind not in POINTS:
        raise InvalidInputError(f"There is no mark of this kind; there are {', '.join(POINTS)}.")
    few, many = POINTS[kind]
    try:
        values = np.asarray(points, dtype=np.float64)
    except (ValueError, TypeError):
        values = np.empty(0)
    if values.ndim != 2 or values.shape[1] != 3 or not few <= len(values) <= many or not np.isfinite(values).all():  # noqa: PLR2004 - z, y, x
        raise InvalidInputError(f"A mark of kind {kind} has {few if few == many else f'{few} to {many}'} points (z, y, x).")
    index, frame = mark["index"], mark.get("frame", 0)
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in (index, frame)):
        raise InvalidInputError("index and frame of a mark are whole numbers from 0.")
    return {
        "id": str(mark.get("id", ""))[:_LABEL],
        "kind": kind,
        "plane": str(mark["plane"]),
        "index": index,
        "frame": frame,
        "points": [[float(value) for value in point] for point in values],
        "label": str(mark.get("label", ""))[:_LABEL],
    }


def to_mm(attributes: SeriesAttributes) -> tuple[npt.NDArray[np.float64], str]:
    """4 x 4: voxel coordinates (z, y, x, 1) to lengths, and their unit: the affine, the voxel size, or voxels."""
    if attributes.affine is not None:
        return np.asarray(attributes.affine), "mm"
    gaps = (*(1.0,) * 3, *attributes.spacing)[-3:]
    in_plane = gaps[1:]
    if any(gap is None for gap in in_plane) or not attributes.spacing:
        return np.eye(4), "voxel"
    return np.diag([float(gap) if gap else 1.0 for gap in (*gaps, 1.0)]), "mm"


def in_patient(mark: Mapping[str, Any], attributes: SeriesAttributes) -> list[list[float]] | None:
    """The points of `mark` as (L, P, S) in mm of the patient, of a slide in its own mm; None where the series has no place."""
    if attributes.affine is None:
        return None
    points = np.c_[np.asarray(mark["points"], dtype=np.float64), np.ones(len(mark["points"]))]
    found: list[list[float]] = (points @ np.asarray(attributes.affine).T)[:, :3].tolist()
    return found


def measure(mark: Mapping[str, Any], series: Series, planes: Sequence[Plane]) -> Measured:
    """What `mark` (as `checked` gives it) measures on `series`.

    Raises `InvalidInputError` for a plane or slice that the series does not have, `StorageError` when it cannot be read.
    """
    attributes = series.attributes
    matrix, unit = to_mm(attributes)
    points = np.asarray(mark["points"], dtype=np.float64)
    real = (np.c_[points, np.ones(len(points))] @ matrix.T)[:, :3]
    kind = mark["kind"]
    if kind in {"length", "bidirectional"}:
        width = math.dist(real[2], real[3]) if kind == "bidirectional" else None
        return Measured(length=math.dist(real[0], real[1]), width=width, unit=unit)
    if kind == "angle":
        one, other = real[0] - real[1], real[2] - real[1]
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        return Measured(angle=math.degrees(math.acos(float(np.clip(one @ other / size, -1, 1)))) if size else None, unit=unit)
    plane = plane_named(planes, mark["plane"])
    if not 0 <= mark["index"] < plane.count:
        raise InvalidInputError("A mark lies outside its series.")
    area = None if kind == "point" else _area(kind, real)
    values = None if attributes.samples else _inside(mark, series, plane, points)
    if values is None or not values.size:
        return Measured(area=area, unit=unit, voxels=0 if values is not None else None)
    return Measured(
        area=area,
        unit=unit,
        mean=float(values.mean()),
        sd=float(values.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        voxels=int(values.size),
        values_unit=attributes.units or "",
    )


def row(mark: Mapping[str, Any], series: Series, planes: Sequence[Plane], measured: Measured | None = None) -> dict[str, Any]:
    """A mark with what it measures and where it lies in the patient, as tables and files have it. Raises as `measure`."""
    found = measured or measure(mark, series, planes)
    return {**mark, **vars(found), "points_mm": in_patient(mark, series.attributes)}


def _area(kind: str, real: Points) -> float:
    """Area of a mark in its plane, by its points in mm."""
    if kind == "ellipse":
        return float(np.pi * np.linalg.norm(np.cross(real[1] - real[0], real[3] - real[2])) / 4)
    around = real - real[0]
    return float(np.linalg.norm(np.cross(around, np.roll(around, -1, axis=0)).sum(axis=0)) / 2)


def _inside(mark: Mapping[str, Any], series: Series, plane: Plane, points: Points) -> npt.NDArray[np.float64]:
    """Values of the voxels whose centre lies inside the mark, in the series' units."""
    rows, columns = (axis for axis in range(3) if "zyx"[axis] != plane.axis)
    flat = points[:, [rows, columns]]
    counts = [side.count for axis in (rows, columns) for side in (plane.right, plane.down) if side.axis == "zyx"[axis]]
    if mark["kind"] == "point":
        low = high = np.floor(flat[0] + 0.5).astype(int)
    else:
        low, high = (np.floor(flat.min(axis=0)).astype(int), np.ceil(flat.max(axis=0)).astype(int))
        if mark["kind"] == "ellipse":
            center, first, second = _ellipse(flat)
            reach = np.hypot(first, second)
            low, high = np.floor(center - reach).astype(int), np.ceil(center + reach).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, np.asarray(counts) - 1)
    if (low > high).any():
        return np.empty(0)
    region = (int(low[0]), int(low[1]), int(high[0] - low[0] + 1), int(high[1] - low[1] + 1))
    values = physical(series, plane.axis, mark["index"], mark["frame"], region)
    if mark["kind"] == "point":
        return values.ravel()
    centers = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    picked = values[_covers(mark["kind"], flat, centers.astype(np.float64))]
    return picked[np.isfinite(picked)]


def _ellipse(flat: Points) -> tuple[Points, Points, Points]:
    """Centre and half axes of an ellipse."""
    return flat.mean(axis=0), (flat[1] - flat[0]) / 2, (flat[3] - flat[2]) / 2


def _covers(kind: str, flat: Points, centers: Points) -> npt.NDArray[np.bool_]:
    if kind == "ellipse":
        center, first, second = _ellipse(flat)
        axes = np.stack([first, second], axis=1)
        if abs(np.linalg.det(axes)) == 0:
            return np.zeros(centers.shape[:2], dtype=bool)
        around = (centers - center) @ np.linalg.inv(axes).T
        return np.asarray((around**2).sum(axis=-1) <= 1 + 1e-9)  # a centre on the line counts, whatever rounding says
    inside = np.zeros(centers.shape[:2], dtype=bool)  # even-odd rule, an edge at a time
    for (r1, c1), (r2, c2) in zip(flat, np.roll(flat, -1, axis=0), strict=True):
        if r1 == r2:
            continue
        crosses = (centers[..., 0] < r1) != (centers[..., 0] < r2)
        at = (c2 - c1) * (centers[..., 0] - r1) / (r2 - r1) + c1
        inside ^= crosses & (centers[..., 1] < at)
    return inside


def physical(series: Series, axis: str, index: int, frame: int, region: tuple[int, int, int, int]) -> npt.NDArray[np.float64]:
    """A region of a slice of level 0 in the series' units: what is stored, after a rescale that is still to be applied."""
    attributes = series.attributes
    values = read_slice(series, axis, index, frame=frame, region=region).astype(np.float64)
    rescale: Rescale | None = attributes.rescale
    if rescale is None or rescale.applied:
        return values
    if rescale.per_slice is None:
        return np.asarray(values * rescale.slope + rescale.intercept)
    depth = attributes.shape[-3] if "z" in attributes.dims else 1
    table = np.asarray(rescale.per_slice).reshape(-1, depth, 2)[frame if attributes.axis is not None else 0]
    slopes, intercepts = table[:, 0], table[:, 1]
    if axis == "z":
        return np.asarray(values * slopes[index] + intercepts[index])
    rows = slice(region[0], region[0] + region[2])  # z comes first of the two axes that are left
    return np.asarray(values * slopes[rows, None] + intercepts[rows, None])
