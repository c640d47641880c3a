"""Where voxels lie: from the geometry of slices to the affine of a volume, or the reason why they are no volume.

Pure functions on `SliceGeometry` values (PS3.3 C.7.6.2 Image Plane, C.7.6.16.2 for multi-frame). Slices are ordered along the
normal, the cross product of the row and column cosines. The gap between slices is measured from ImagePositionPatient;
SliceThickness and SpacingBetweenSlices say something else and are never read.

A stack is regular when every slice lies where the straight line from the first to the last one, evenly divided, puts
it, within `TOLERANCE` of a voxel, and that line is the normal within the same bound. So an affine is never off by more than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cohortlab.store.contracts import Affine, SliceGeometry, Vector3

TOLERANCE = 0.02
"""How far a slice may lie from its ideal place, as a part of the smallest voxel edge. Headers with two decimals stay below."""

_COSINES = 1e-4  # how much direction cosines of one stack may differ; scanners write 4 to 14 digits
_UNIT = 1e-3  # how far cosines may be from unit length and a right angle

type Reason = Literal[
    "missing slice", "uneven gaps", "tilt with drift", "mixed orientation", "mixed spacing", "duplicates", "no orientation"
]


@dataclass(frozen=True)
class Layout:
    """How slices make a stack.

    order: input indices along the normal, ascending. positions: their places along the normal in mm, in that order.
    affine: index (z, y, x, 1) -> patient (L, P, S, 1) in mm, None when irregular. spacing: (z, y, x) in mm; z is None for
    a single slice (the affine's z column is then the unit normal, a direction and no distance) and for an irregular stack.
    """

    order: tuple[int, ...]
    positions: tuple[float, ...]
    affine: Affine | None
    spacing: tuple[float | None, float, float]
    regular: bool
    reason: Reason | None = None
    detail: str = ""

    @property
    def explanation(self) -> str | None:
        """The reason with its detail, for people; None when regular."""
        return None if self.reason is None else f"{self.reason}: {self.detail}"


def normal(slice_: SliceGeometry) -> NDArray[np.float64]:
    """The unit normal of a slice: row cosines x column cosines."""
    cosines = np.asarray(slice_.orientation, dtype=np.float64)
    vector = np.cross(cosines[:3], cosines[3:])
    return vector / np.linalg.norm(vector)


def is_orientation(cosines: Sequence[float]) -> bool:
    """Whether six numbers are two unit vectors at a right angle, as ImageOrientationPatient must be."""
    values = np.asarray(cosines, dtype=np.float64)
    if values.shape != (6,) or not np.isfinite(values).all():
        return False
    row, column = values[:3], values[3:]
    lengths = abs(np.linalg.norm(row) - 1) < _UNIT and abs(np.linalg.norm(column) - 1) < _UNIT
    return bool(lengths and abs(row @ column) < _UNIT)


def same_position(slices: Sequence[SliceGeometry]) -> list[list[int]]:
    """Group slices of one orientation by their place: lists of input indices, ordered along the normal.

    Two slices are at the same place when they are closer than `TOLERANCE` of a pixel in all directions.
    """
    points = np.asarray([s.position for s in slices], dtype=np.float64)
    near = TOLERANCE * min(slices[0].spacing)
    groups: list[list[int]] = []
    for index in np.argsort(points @ normal(slices[0]), kind="stable").tolist():
        if groups and np.linalg.norm(points[index] - points[groups[-1][0]]) <= near:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def lay_out(slices: Sequence[SliceGeometry]) -> Layout:  # noqa: PLR0911 - one return for each reason reads best
    """Order slices along the normal and find their common affine, or the reason why there is none.

    Raises `ValueError` for no slices at all.
    """
    if not slices:
        raise ValueError("no slices")
    first = slices[0]
    axis = normal(first)
    points = np.asarray([s.position for s in slices], dtype=np.float64)
    along = points @ axis
    order = np.argsort(along, kind="stable")
    points, along = points[order], along[order]
    in_plane = (float(first.spacing[0]), float(first.spacing[1]))

    def irregular(reason: Reason, detail: str) -> Layout:
        return Layout(tuple(order.tolist()), tuple(along.tolist()), None, (None, *in_plane), regular=False, reason=reason, detail=detail)

    cosines = np.asarray([s.orientation for s in slices], dtype=np.float64)
    if np.abs(cosines - cosines[0]).max() > _COSINES:
        return irregular("mixed orientation", f"{len(np.unique(cosines.round(3), axis=0))} orientations in one series")
    if np.ptp(np.asarray([s.spacing for s in slices], dtype=np.float64), axis=0).max() > TOLERANCE * min(in_plane):
        return irregular("mixed spacing", "the pixel size changes from slice to slice")
    if len(slices) == 1:
        affine = _affine(first, points[0], axis)
        return Layout((0,), (float(along[0]),), affine, (None, *in_plane), regular=True)

    gaps = np.diff(along)
    near = TOLERANCE * min(in_plane)
    if (same := np.count_nonzero(gaps <= near)) and (np.linalg.norm(np.diff(points, axis=0), axis=1) <= near).any():
        return irregular("duplicates", f"{same} slices at a place that another one has")
    step = (points[-1] - points[0]) / (len(slices) - 1)
    gap = float(step @ axis)
    bound = TOLERANCE * min(*in_plane, gap)
    ideal = along[0] + gap * np.arange(len(slices))
    if np.abs(along - ideal).max() > bound:
        return irregular(*_gaps(gaps))
    across = points - points[0] - np.outer(along - along[0], axis)
    if np.linalg.norm(across, axis=1).max() > bound:
        drift = float(np.linalg.norm(across[-1]))
        return irregular("tilt with drift", f"slices shift sideways, {drift:.2f} mm from first to last")
    return Layout(
        tuple(order.tolist()),
        tuple(along.tolist()),
        _affine(first, points[0], step),
        (float(np.linalg.norm(step)), *in_plane),
        regular=True,
    )


def _gaps(gaps: NDArray[np.float64]) -> tuple[Reason, str]:
    """Say what is wrong with gaps that are not all the same: a slice missing, or simply uneven."""
    usual = float(np.median(gaps))
    ratio = gaps / usual if usual > 0 else gaps
    whole = np.round(ratio)
    if usual > 0 and (np.abs(ratio - whole) < TOLERANCE * whole.clip(1)).all() and (whole >= 1).all():
        where = np.flatnonzero(whole > 1)
        count = int(whole[where].sum() - len(where))
        found = f"gap {gaps[where[0]]:.3f} mm, else {usual:.3f} mm"
        return "missing slice", f"{count} missing, the first after slice {int(where[0]) + 1} of {len(gaps) + 1} ({found})"
    return "uneven gaps", f"from {gaps.min():.3f} to {gaps.max():.3f} mm"


def _affine(slice_: SliceGeometry, origin: NDArray[np.float64], step: NDArray[np.float64]) -> Affine:
    """Columns z, y, x, origin. Rows of the image follow the column cosines, columns the row cosines (C.7.6.2.1.1)."""
    cosines = np.asarray(slice_.orientation, dtype=np.float64)
    matrix = np.eye(4)
    matrix[:3, 0] = step
    matrix[:3, 1] = cosines[3:] * slice_.spacing[0]
    matrix[:3, 2] = cosines[:3] * slice_.spacing[1]
    matrix[:3, 3] = origin
    rows = [tuple(float(v) for v in row) for row in matrix]
    return (_row(rows[0]), _row(rows[1]), _row(rows[2]), _row(rows[3]))


def _row(values: tuple[float, ...]) -> tuple[float, float, float, float]:
    a, b, c, d = values
    return (a, b, c, d)


def plane_coordinates(slice_: SliceGeometry, rows: int, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 1-D coordinates y (rows,) and x (columns,) in mm: distances from the patient origin along the image's own axes.

    So for slices stacked along the normal n, ``x * row + y * column + z * n`` is the patient point of a voxel, and for an
    axial image with identity orientation x, y, z are the patient's L, P, S themselves.
    """
    cosines = np.asarray(slice_.orientation, dtype=np.float64)
    origin = np.asarray(slice_.position, dtype=np.float64)
    y = origin @ cosines[3:] + slice_.spacing[0] * np.arange(rows)
    x = origin @ cosines[:3] + slice_.spacing[1] * np.arange(columns)
    return y, x


def place_slice(slice_: SliceGeometry, affine: Affine) -> tuple[float, float, float]:
    """Index (z, y, x), not rounded, of a slice's first voxel in the grid of `affine`."""
    index = np.linalg.solve(np.asarray(affine), np.asarray([*slice_.position, 1.0]))
    return (float(index[0]), float(index[1]), float(index[2]))


def same_plane(slice_: SliceGeometry, affine: Affine) -> bool:
    """Whether a slice's pixels have the directions and sizes of the grid's y and x axes."""
    cosines = np.asarray(slice_.orientation, dtype=np.float64)
    matrix = np.asarray(affine)
    wanted_y, wanted_x = cosines[3:] * slice_.spacing[0], cosines[:3] * slice_.spacing[1]
    bound = _COSINES * min(slice_.spacing)
    return bool(np.abs(matrix[:3, 1] - wanted_y).max() <= bound and np.abs(matrix[:3, 2] - wanted_x).max() <= bound)


def as_vector(values: Sequence[float]) -> Vector3:
    """Three numbers as a tuple. Raises `ValueError` for another count or for numbers that are not finite."""
    x, y, z = (float(v) for v in values)
    if not np.isfinite([x, y, z]).all():
        raise ValueError("not finite")
    return (x, y, z)
