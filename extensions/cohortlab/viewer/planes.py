"""How a volume lies in the patient: which array axis is axial, coronal or sagittal, and which way round it is shown.

Each plane is named by the patient axis (PS3.3 C.7.6.2.1.1: L, P, S grow to the left, back and head) that dominates its
normal, so an oblique acquisition keeps its own slices: they are named, never resampled. Planes are shown as radiologists
hang them: the patient's left to the right of the screen, front and head at the top.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from cohortlab.errors import InvalidInputError

_L, _P, _S = range(3)
_AXES = "zyx"
# name: (patient axis of the normal, (axis, sign) towards the right of the screen, (axis, sign) towards its bottom)
_HANGING = {
    "axial": (_S, (_L, 1), (_P, 1)),
    "coronal": (_P, (_L, 1), (_S, -1)),
    "sagittal": (_L, (_P, 1), (_S, -1)),
}


@dataclass(frozen=True)
class Side:
    """One side of a shown plane: the array axis along it, its sense, voxels, mm a voxel, and its way through the patient.

    `sign` is 1 when the array index grows towards the right (or the bottom) of the screen. `direction` is the unit vector
    (L, P, S) towards the right (or the bottom), None when it is not known.
    """

    axis: str
    sign: int
    count: int
    spacing: float
    direction: tuple[float, float, float] | None


@dataclass(frozen=True)
class Plane:
    """A stack of slices: `axis` is the array axis that the slice index counts."""

    name: str
    axis: str
    count: int
    spacing: float
    right: Side
    down: Side

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def planes(
    shape: Sequence[int],
    affine: Sequence[Sequence[float]] | None,
    spacing: Sequence[float | None] = (),
    orientation: Sequence[float] | None = None,
    *,
    unplaced: bool = False,
) -> tuple[Plane, ...]:
    """The planes of an image, the acquisition's first.

    Args:
        shape: voxels as (z, y, x) or (y, x).
        affine: 4x4, maps index (z, y, x, 1) to patient (L, P, S, 1) in mm; None for projections and irregular series,
            which have one plane only, named ``image``.
        spacing: mm a voxel as `shape`; used where there is no affine. Unknown ones count as equal.
        orientation: ImageOrientationPatient where there is no affine, for the letters.
        unplaced: a regular array whose place in the patient nobody told. It has a plane across each of its axes, ``z``, ``y``, ``x``,
            with the later axes to the right and to the bottom, and no letters.
    """
    volume = (1, *shape)[-3:]
    if affine is None and unplaced and volume[0] > 1:
        return _unplaced(volume, spacing)
    if affine is None or len(shape) != len(_AXES):
        return (_image(volume, spacing, orientation),)
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    units = matrix / lengths
    # the assignment of array axes to patient axes with the greatest sum of cosines: always one to one, also at 45 degrees
    patient_of = max(permutations(range(3)), key=lambda order: sum(abs(units[patient, axis]) for axis, patient in enumerate(order)))
    array_of = {patient: axis for axis, patient in enumerate(patient_of)}

    def side(patient: int, sense: int) -> Side:
        axis = array_of[patient]
        sign = sense if units[patient, axis] >= 0 else -sense
        return Side(_AXES[axis], sign, volume[axis], float(lengths[axis]), _vector(units[:, axis] * sign))

    found = []
    for name, (normal, right, down) in _HANGING.items():
        axis = array_of[normal]
        found.append(Plane(name, _AXES[axis], volume[axis], float(lengths[axis]), side(*right), side(*down)))
    return tuple(sorted(found, key=lambda plane: plane.axis != "z"))


def _unplaced(volume: Sequence[int], spacing: Sequence[float | None]) -> tuple[Plane, ...]:
    known = [float(value) if value else 1.0 for value in (*(None,) * 3, *spacing)[-3:]]
    sides = [Side(name, 1, count, gap, None) for name, count, gap in zip(_AXES, volume, known, strict=True)]
    found = []
    for axis in sides:
        down, right = (side for side in sides if side is not axis)
        found.append(Plane(axis.axis, axis.axis, axis.count, axis.spacing, right, down))
    return tuple(found)


def _image(volume: Sequence[int], spacing: Sequence[float | None], orientation: Sequence[float] | None) -> Plane:
    known = [float(value) if value else 1.0 for value in (*(None,) * 3, *spacing)[-3:]]
    along = None if orientation is None else _vector(np.asarray(orientation[:3]))
    down = None if orientation is None else _vector(np.asarray(orientation[3:]))
    return Plane("image", "z", volume[0], known[0], Side("x", 1, volume[2], known[2], along), Side("y", 1, volume[1], known[1], down))


def _vector(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    left, back, head = (float(value) for value in values)
    return left, back, head


def plane_named(found: Sequence[Plane], name: str) -> Plane:
    """The plane called `name`. Raises `InvalidInputError` naming those there are."""
    for plane in found:
        if plane.name == name:
            return plane
    raise InvalidInputError("This series has no such plane.", hint=f"It has: {', '.join(plane.name for plane in found)}.")
