"""Slices and volumes of stored series: which voxels, as which bytes, and labels laid on another series' grid.

Every slice comes in the array's own order: rows are the first, columns the second of the two axes that are left, then red, green
and blue in colour. How it is turned and flipped for the screen is the plane's business (`planes.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cohortlab.errors import CohortlabError, InvalidInputError, StorageError
from cohortlab.store.contracts import SeriesAttributes
from cohortlab.viewer.answers import NEVER, Region, Stop, TooLargeError

MAX_SLICE_BYTES = 64 * 2**20
"""No answer is larger: a 5,600 x 5,600 mammogram of 16 bits fits."""

_MAX_LABEL_BYTES = 512 * 2**20  # of label voxels read to lay one slice on another grid
_SLAB = 16  # slices read at once of a volume, a chunk's depth
_SENT_AS_IS = {"int16", "uint16", "int8", "uint8", "float32"}
_SPACE = "zyx"


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
    return Grid(volume_shape(series.attributes, level), series.affine(level))


def space_shape(dims: Sequence[str], shape: Sequence[int]) -> tuple[int, int, int]:
    """Voxels as (z, y, x), 1 along a dimension that there is not."""
    sizes = dict(zip(dims, shape, strict=True))
    return sizes.get("z", 1), sizes["y"], sizes["x"]


def level_shape(attributes: SeriesAttributes, level: int) -> tuple[int, ...]:
    """Shape of `level`. Raises `InvalidInputError` when there is none such."""
    if not 0 <= level < len(attributes.levels):
        raise InvalidInputError("This series has no such level.", hint=f"It has levels 0 to {len(attributes.levels) - 1}.")
    return attributes.levels[level]


def volume_shape(attributes: SeriesAttributes, level: int) -> tuple[int, int, int]:
    """Voxels of `level` as (z, y, x). Raises `InvalidInputError` when there is no such level."""
    return space_shape(attributes.dims, level_shape(attributes, level))


def read_slice(
    series: Series, axis: str, index: int, *, level: int = 0, frame: int = 0, region: Region | None = None, stop: Stop = NEVER
) -> npt.NDArray[Any]:
    """One slice of `series` across `axis` (``z``, ``y`` or ``x``) at `index` of `level`, of `frame` of a fourth axis.

    Returns:
        The values, 2-D, over the two other axes in their order (z, y, x), `region` of them; 3-D with the samples last in colour; in
        a type that a browser can take: int16, uint16, int8, uint8 and float32 as stored, others as float32.

    Raises:
        InvalidInputError: level, index, frame or region is outside the series.
        TooLargeError: the slice is larger than `MAX_SLICE_BYTES`.
        StorageError: it cannot be read.
    """
    attributes = series.attributes
    volume = volume_shape(attributes, level)
    position = _SPACE.index(axis)
    _check(index, volume[position], "slice")
    rows, columns = _cut(volume, position, region)
    array = series.array(level)
    pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
    _bounded(pixels * array.dtype.itemsize * (len(attributes.samples) or 1), "This slice", "Ask for a coarser level or a region.")
    inside = dict(zip((name for name in _SPACE if name != axis), (rows, columns), strict=True))
    stop.check()
    return _for_browser(_read(array, _where(attributes, frame, inside | {axis: index})), attributes)


def read_volume(series: Series, level: int, *, frame: int = 0, stop: Stop = NEVER) -> npt.NDArray[Any]:
    """All voxels of `level`, of `frame` of a fourth axis: (z, y, x), in colour (z, y, x, 3), types as `read_slice`; raises as it does."""
    attributes = series.attributes
    depth, height, width = volume_shape(attributes, level)
    array = series.array(level)
    samples = len(attributes.samples) or 1
    _bounded(depth * height * width * samples * array.dtype.itemsize, "This level", "Ask for a coarser level, or for slices.")
    parts = []
    for start in range(0, depth, _SLAB):
        stop.check()
        where = _where(attributes, frame, {"z": slice(start, start + _SLAB), "y": slice(None), "x": slice(None)})
        part = _for_browser(_read(array, where), attributes)
        parts.append(part if "z" in attributes.dims else part[None])
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def volume_bytes(series: Series, level: int) -> int:
    """Bytes that `read_volume` gives at most."""
    attributes = series.attributes
    pixels = int(np.prod(volume_shape(attributes, level)))
    return pixels * np.dtype(attributes.dtype).itemsize * (len(attributes.samples) or 1)


def _bounded(size: int, what: str, hint: str) -> None:
    if size > MAX_SLICE_BYTES:
        raise TooLargeError(f"{what} is larger than the viewer sends.", hint=hint)


def _cut(volume: Sequence[int], position: int, region: Region | None) -> tuple[slice, slice]:
    """Rows and columns of a slice across the axis at `position`, those of `region` that it has."""
    rows, columns = (extent for other, extent in enumerate(volume) if other != position)
    if region is None:
        return slice(0, rows), slice(0, columns)
    row, column, high, wide = region
    _check(row, rows, "row")
    _check(column, columns, "column")
    return slice(row, min(row + high, rows)), slice(column, min(column + wide, columns))


def _where(attributes: SeriesAttributes, frame: int, inside: dict[str, Any]) -> tuple[Any, ...]:
    """The selection over `attributes.dims`; a dimension of space that there is not is left out."""
    frames = attributes.shape[0] if attributes.axis is not None else 1
    _check(frame, frames, "frame")
    found: list[Any] = []
    for position, name in enumerate(attributes.dims):
        if name in _SPACE:
            found.append(inside[name])
        else:
            found.append(frame if attributes.axis is not None and position == 0 else slice(None))
    return tuple(found)


def _read(array: Any, where: Any) -> npt.NDArray[Any]:
    """A part of a Zarr array. Raises `StorageError` when it cannot be read or decoded, whatever the codec says."""
    try:
        return np.asarray(array[where])
    except CohortlabError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(
            "This part of the series cannot be read.", hint="Tell the data steward, who can run `cohortlab verify`."
        ) from error


def _check(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise InvalidInputError(f"This series has no such {what}.", hint=f"Count from 0 to {count - 1}.")


def _for_browser(values: npt.NDArray[Any], attributes: SeriesAttributes) -> npt.NDArray[Any]:
    if attributes.samples:
        values = np.moveaxis(values, 0, -1)
    name = values.dtype.name
    if name == "bool":
        values = values.astype(np.uint8)
    elif name not in _SENT_AS_IS:
        values = values.astype(np.float32)
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))


def read_label_slice(
    label: Series,
    image: Series,
    axis: str,
    index: int,
    *,
    level: int = 0,
    frame: int = 0,
    segment: int | None = None,
    region: Region | None = None,
    stop: Stop = NEVER,
) -> npt.NDArray[Any]:
    """The segmentation `label` at the voxels of one slice of `image`, nearest neighbour.

    Returns:
        2-D as `read_slice` gives the image's slice: segment numbers, uint16, 0 where there is no segment. Where segments of a
        stack overlap, the highest number is given; of fractional ones, that of the greatest value of at least a half. With
        `segment` only that one's voxels; of a fractional one the values as stored, uint8.

    Raises:
        InvalidInputError: level, index or segment is not there, or the two do not share a place in the patient.
        TooLargeError: the slice touches too large a part of the segmentation.
        StorageError: it cannot be read.
    """
    target = grid(image, level)
    position = _SPACE.index(axis)
    _check(index, target.shape[position], "slice")
    cut = _cut(target.shape, position, region)
    pixels = (cut[0].stop - cut[0].start) * (cut[1].stop - cut[1].start)
    _bounded(pixels * 2, "This slice", "Ask for a coarser level or a region.")
    _known_segment(label.attributes, segment)
    source = grid(label, 0)
    to_source = _between(target, source, image.attributes, label.attributes)
    rows, columns = (other for other in range(3) if other != position)
    # index of every voxel of the slice, as source coordinates = origin + row * step + column * step
    start = np.zeros(4)
    start[position], start[3] = index, 1
    origin = (to_source @ start)[:3, None, None]
    row_steps = to_source[:3, rows, None, None] * np.arange(cut[0].start, cut[0].stop)[None, :, None]
    column_steps = to_source[:3, columns, None, None] * np.arange(cut[1].start, cut[1].stop)[None, None, :]
    # a voxel's edge belongs to the higher index, and rounding noise of the matrices must not move it
    nearest = np.floor(origin + row_steps + column_steps + 0.5 + 1e-6).astype(np.int64)
    limits = np.asarray(source.shape)[:, None, None]
    inside = np.all((nearest >= 0) & (nearest < limits), axis=0)
    found = np.zeros(inside.shape, dtype=np.uint8 if is_fraction(label.attributes, segment) else np.uint16)
    if not inside.any():
        return found
    wanted = nearest[:, inside]
    low, high = wanted.min(axis=1), wanted.max(axis=1) + 1
    stop.check()
    box = _read_box(label, low, high, frame, segment)
    found[inside] = box[tuple(wanted - low[:, None])]
    return found


def is_fraction(attributes: SeriesAttributes, segment: int | None) -> bool:
    """Whether `segment` alone is told in fractions."""
    return attributes.fractional is not None and segment is not None


def _known_segment(attributes: SeriesAttributes, segment: int | None) -> None:
    if segment is not None and segment not in {one.number for one in attributes.segments}:
        raise InvalidInputError("The segmentation has no such segment.")


def _between(target: Grid, source: Grid, image: SeriesAttributes, label: SeriesAttributes) -> npt.NDArray[np.float64]:
    """4x4: index in `target` to index in `source`."""
    frames = {image.frame_of_reference_uid, label.frame_of_reference_uid} - {None}
    if target.affine is not None and source.affine is not None:
        if len(frames) > 1:
            raise InvalidInputError("The segmentation lies in another frame of reference than the image.")
        solved: npt.NDArray[np.float64] = np.linalg.solve(source.affine, target.affine)
        return solved
    if space_shape(image.dims, image.shape) != space_shape(label.dims, label.shape):
        raise InvalidInputError("The segmentation's place on this image is not known.", hint="Their grids differ and one has no geometry.")
    scale = np.asarray(source.shape, dtype=np.float64) / target.shape
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = (scale - 1) / 2
    return matrix


def _read_box(label: Series, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], frame: int, segment: int | None) -> npt.NDArray[Any]:
    """Numbers or, of a fractional segment, values of the box from `low` to `high` (z, y, x)."""
    attributes = label.attributes
    numbers = [int(value) for value in attributes.axis.values] if attributes.axis is not None and attributes.axis.name == "segment" else []
    layers = len(numbers) if numbers and segment is None else 1
    if int(np.prod(high - low)) * layers * 2 > _MAX_LABEL_BYTES:
        raise TooLargeError("This slice cuts too large a part of the segmentation.", hint="Choose the acquisition's plane.")
    inside = {name: slice(int(first), int(last)) for name, first, last in zip(_SPACE, low, high, strict=True)}
    array, shape = label.array(0), tuple(int(extent) for extent in high - low)
    if not numbers:
        values = _read(array, _where(attributes, frame, inside)).reshape(shape)
        return values if segment is None else np.where(values == segment, values, 0)
    if segment is not None:
        return _read(array, _where(attributes, numbers.index(segment), inside)).reshape(shape)
    stack = _read(array, (slice(None), *_where(attributes, 0, inside)[1:])).reshape(layers, *shape)
    if attributes.fractional is None:
        return np.asarray(stack.max(axis=0))
    most = round(1 / attributes.rescale.slope) if attributes.rescale is not None else int(np.iinfo(stack.dtype).max)
    best = np.asarray(numbers)[stack.argmax(axis=0)]
    return np.where(stack.max(axis=0).astype(np.int64) * 2 >= most, best, 0)
