"""Slices of stored series: which voxels, as which bytes, and labels laid on another series' grid.

Every slice comes in the array's own order: rows are the first, columns the second of the two axes that are left. How it
is turned and flipped for the screen is the plane's business (`planes.py`).
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cohortlab.errors import InvalidInputError, RefusedError, StorageError
from cohortlab.store.contracts import SeriesAttributes

MAX_SLICE_BYTES = 64 * 2**20
"""No answer is larger: a 5,600 x 5,600 mammogram of 16 bits fits."""

_MAX_LABEL_BYTES = 512 * 2**20  # of label voxels read to lay one slice on another grid
_SENT_AS_IS = {"int16", "uint16", "int8", "uint8", "float32"}
_SPACE = "zyx"


class TooLargeError(RefusedError):
    """An answer would be larger than the gateway sends."""

    code = "too-large"


class Series(Protocol):
    """What the gateway needs of a series; `cohortlab.store.SeriesRef` is one."""

    @property
    def id(self) -> str:
        """The series' id."""

    @property
    def attributes(self) -> SeriesAttributes:
        """The truth on its geometry and meaning."""

    def array(self, level: int = 0) -> Any:
        """One level as a zarr array over `attributes.dims`."""

    def affine(self, level: int = 0) -> npt.NDArray[np.float64] | None:
        """4x4: index (z, y, x, 1) of a level to patient (L, P, S, 1) in mm, where that is known."""


@dataclass(frozen=True)
class Grid:
    """The voxels of one level: `shape` (z, y, x), their place `affine` (4x4, level's index to mm) where it is known."""

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64] | None


def grid(series: Series, level: int) -> Grid:
    """The grid of `level` of a series."""
    return Grid(_volume(level_shape(series.attributes, level)), series.affine(level))


def _volume(shape: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = (1, *shape)[-3:]
    return z, y, x


def level_shape(attributes: SeriesAttributes, level: int) -> tuple[int, ...]:
    """Shape of `level`. Raises `InvalidInputError` when there is none such."""
    if not 0 <= level < len(attributes.levels):
        raise InvalidInputError("This series has no such level.", hint=f"It has levels 0 to {len(attributes.levels) - 1}.")
    return attributes.levels[level]


def read_slice(series: Series, axis: str, index: int, *, level: int = 0, frame: int = 0) -> npt.NDArray[Any]:
    """One slice of `series` across `axis` (``z``, ``y`` or ``x``) at `index` of `level`, of `frame` of a fourth axis.

    Returns:
        The values, 2-D, over the two other axes in their order (z, y, x), in a type that a browser can take: int16, uint16,
        int8, uint8 and float32 as stored, others as float32.

    Raises:
        InvalidInputError: level, index or frame is outside the series.
        TooLargeError: the slice is larger than `MAX_SLICE_BYTES`.
    """
    attributes = series.attributes
    shape = level_shape(attributes, level)
    volume = _volume(shape)
    _check(index, volume[_SPACE.index(axis)], "slice")
    pixels = int(np.prod(volume)) // volume[_SPACE.index(axis)]
    array = series.array(level)
    if pixels * max(array.dtype.itemsize, 1) > MAX_SLICE_BYTES:
        raise TooLargeError("This slice is larger than the viewer sends.", hint="Ask for a coarser level.")
    in_space = tuple(index if name == axis else slice(None) for name in _SPACE)
    # a projection has no z: its one slice is all of it
    where = (*_selection(attributes, frame), *in_space[-_space(attributes) :])
    return _for_browser(_read(array, where))


def _read(array: Any, where: Any) -> npt.NDArray[Any]:
    """A part of a Zarr array. Raises `StorageError` when it cannot be read or decoded, whatever the codec says."""
    try:
        return np.asarray(array[where])
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(
            "This part of the series cannot be read.", hint="Tell the data steward, who can run `cohortlab verify`."
        ) from error


def _space(attributes: SeriesAttributes) -> int:
    return sum(name in _SPACE for name in attributes.dims)


def _selection(attributes: SeriesAttributes, frame: int) -> tuple[int, ...]:
    frames = attributes.shape[0] if attributes.axis is not None else 1
    _check(frame, frames, "frame")
    return (frame,) if attributes.axis is not None else ()


def _check(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise InvalidInputError(f"This series has no such {what}.", hint=f"Count from 0 to {count - 1}.")


def _for_browser(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    name = values.dtype.name
    if name == "bool":
        values = values.astype(np.uint8)
    elif name not in _SENT_AS_IS:
        values = values.astype(np.float32)
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))


def read_label_slice(label: Series, image: Series, axis: str, index: int, *, level: int = 0) -> npt.NDArray[np.uint16]:
    """The labels of the segmentation `label` at the voxels of one slice of `image`, nearest neighbour.

    Returns:
        Segment numbers, 2-D as `read_slice` gives the image's slice; 0 where there is no segment. Where segments of a
        stack overlap, the highest number is given.

    Raises:
        InvalidInputError: level or index is outside the image, or the two do not share a place in the patient.
        TooLargeError: the slice touches too large a part of the segmentation.
    """
    target = grid(image, level)
    position = _SPACE.index(axis)
    _check(index, target.shape[position], "slice")
    if int(np.prod(target.shape)) // target.shape[position] * 2 > MAX_SLICE_BYTES:
        raise TooLargeError("This slice is larger than the viewer sends.", hint="Ask for a coarser level.")
    source = grid(label, 0)
    to_source = _between(target, source, image.attributes, label.attributes)
    rows, columns = (other for other in range(3) if other != position)
    # index of every voxel of the slice, as source coordinates = origin + row * step + column * step
    start = np.zeros(4)
    start[position], start[3] = index, 1
    origin = (to_source @ start)[:3, None, None]
    row_steps = to_source[:3, rows, None, None] * np.arange(target.shape[rows])[None, :, None]
    column_steps = to_source[:3, columns, None, None] * np.arange(target.shape[columns])[None, None, :]
    # a voxel's edge belongs to the higher index, and rounding noise of the matrices must not move it
    nearest = np.floor(origin + row_steps + column_steps + 0.5 + 1e-6).astype(np.int64)
    limits = np.asarray(source.shape)[:, None, None]
    inside = np.all((nearest >= 0) & (nearest < limits), axis=0)
    found = np.zeros(inside.shape, dtype=np.uint16)
    if not inside.any():
        return found
    wanted = nearest[:, inside]
    low, high = wanted.min(axis=1), wanted.max(axis=1) + 1
    box = _read_box(label, low, high)
    found[inside] = box[tuple(wanted - low[:, None])]
    return found


def _between(target: Grid, source: Grid, image: SeriesAttributes, label: SeriesAttributes) -> npt.NDArray[np.float64]:
    """4x4: index in `target` to index in `source`."""
    frames = {image.frame_of_reference_uid, label.frame_of_reference_uid} - {None}
    if target.affine is not None and source.affine is not None:
        if len(frames) > 1:
            raise InvalidInputError("The segmentation lies in another frame of reference than the image.")
        solved: npt.NDArray[np.float64] = np.linalg.solve(source.affine, target.affine)
        return solved
    if _volume(image.shape) != _volume(label.shape):
        raise InvalidInputError("The segmentation's place on this image is not known.", hint="Their grids differ and one has no geometry.")
    scale = np.asarray(source.shape, dtype=np.float64) / target.shape
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = (scale - 1) / 2
    return matrix


def _read_box(label: Series, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    attributes = label.attributes
    segments = attributes.shape[0] if attributes.axis is not None else 1
    if int(np.prod(high - low)) * segments * 2 > _MAX_LABEL_BYTES:
        raise TooLargeError("This slice cuts too large a part of the segmentation.", hint="Choose the acquisition's plane.")
    where = tuple(slice(int(first), int(last)) for first, last in zip(low, high, strict=True))[-_space(attributes) :]
    array = label.array(0)
    values = _read(array, where) if attributes.axis is None else _read(array, (slice(None), *where)).max(axis=0)
    return values.astype(np.uint16).reshape(tuple(int(extent) for extent in high - low))
