"""DICOM SEG (PS3.3 A.51) as a label array on the grid of the image that it segments.

A segmentation belongs to the image whose series it refers to and whose grid its frames lie on: same directions and pixel size,
same first pixel, a slice at each frame's place, within a hundredth of a voxel. On a projection or clip, which has no place in the
patient, its frames name the instance and frame that they segment; on a slide they lie on the grid of one of its levels. Without such
an image it is refused: a label that has to be moved to fit is no longer what was drawn.

Segments that overlap get one plane each along ``c``. So do those of a fractional segmentation, whose values stay as they are stored;
divided by MaximumFractionalValue, which is its `rescale`, they are fractions.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from cohortlab.errors import InvalidInputError
from cohortlab.store.codes import segment_of
from cohortlab.store.contracts import Axis, Rescale, Segment, SeriesAttributes
from cohortlab.store.describe import NO_DIGESTS, identity_of
from cohortlab.store.frames import Frame, functional_group
from cohortlab.store.grid import Grid, grid_of, plane_at, referenced_frame, slide_level
from cohortlab.store.series import SeriesGroup
from cohortlab.store.slide import tile_offsets, total_size

_LABELMAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"
_BYTE: Final = 255
_MOST: Final = 2**31  # voxels of labels that are held in memory

type Kind = Literal["BINARY", "FRACTIONAL", "LABELMAP"]
type Where = tuple[int | slice, ...]
type Drawn = tuple[NDArray[Any], Where, int | None]
"""A frame, where it lies in the grid, and its segment (None in a label map)."""


@dataclass
class Labels:
    """A label array as a `Source` of the array writer, with its attributes."""

    attributes: SeriesAttributes
    values: NDArray[Any]
    stored: str
    shape: tuple[int, ...] = field(init=False)
    dtype: "np.dtype[Any]" = field(init=False)

    def __post_init__(self) -> None:
        self.shape, self.dtype = self.values.shape, self.values.dtype.newbyteorder("<")

    @property
    def pixels(self) -> str:
        """SHA-256 of the label array in C order."""
        return hashlib.sha256(np.ascontiguousarray(self.values, dtype=self.dtype).data).hexdigest()

    def read(self, lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        """Slices [start, stop) of plane `lead`."""
        return self.values[lead][start:stop] if self.values.ndim > 2 else self.values[None]  # noqa: PLR2004 - a plane


def build_labels(group: SeriesGroup, images: Sequence[SeriesAttributes], deidentification: dict[str, JsonValue]) -> Labels:
    """Labels of a SEG on the grid of one of `images`. Raises `InvalidInputError` when none of them has that grid, or the SEG is damaged."""
    dataset = group.datasets[0]
    kind = _kind(dataset)
    segments = tuple(segment_of(item) for item in dataset.get("SegmentSequence") or [] if int(item.get("SegmentNumber", 0)) > 0)
    if not segments:
        raise InvalidInputError("A segmentation names no segment.")
    frames = group.frames[0]
    grid, places, numbers = _match(dataset, kind, segments, frames, images)
    pixels = _decode(dataset, len(frames))
    drawn = list(zip(pixels, places, numbers, strict=True))
    if kind == "FRACTIONAL":
        values, stacked = _stack(grid, segments, np.dtype("<u1"), drawn), True
    else:
        values, stacked = _paint(grid, segments, drawn)
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    attributes = label_attributes(group, grid, segments, values, deidentification, stacked=stacked)
    if kind == "FRACTIONAL":
        most = int(dataset.get("MaximumFractionalValue") or 0)
        means = str(dataset.get("SegmentationFractionalType", ""))
        if not 0 < most <= _BYTE or means not in {"PROBABILITY", "OCCUPANCY"} or int(pixels.max()) > most:
            raise InvalidInputError("A fractional segmentation does not say what its values mean.")
        attributes = attributes.model_copy(update={"fractional": means, "rescale": Rescale(slope=1 / most), "units": "1"})
    return Labels(attributes, values, digest)


def label_attributes(
    group: SeriesGroup,
    grid: Grid,
    segments: Sequence[Segment],
    values: NDArray[Any],
    deidentification: dict[str, JsonValue],
    *,
    stacked: bool,
) -> SeriesAttributes:
    """Attributes of labels on `grid`, `stacked` along ``c`` by segment or all in one array. Digests and levels are still to come."""
    source = grid.image
    if stacked and "t" in grid.dims:
        raise InvalidInputError("The segments of a clip overlap or are fractional, which the store does not take.")
    axis = Axis(name="segment", values=tuple(float(s.number) for s in segments)) if stacked else None
    return SeriesAttributes(
        id=group.id,
        kind="segmentation",
        modality=group.modality,
        dims=("c", *grid.dims) if stacked else grid.dims,
        shape=values.shape,
        dtype=values.dtype.name,
        levels=(values.shape,),
        affine=grid.affine,
        positions=source.positions,
        spacing=grid.spacing,
        slices=source.slices,
        regular=source.regular,
        irregular_reason=source.irregular_reason,
        axis=source.axis if "t" in grid.dims else axis,
        space=source.space,
        instances=1,
        deidentification=deidentification,
        digests=NO_DIGESTS,
        segments=tuple(segments),
        source_series=source.id,
        sop_instance_uid=str(group.datasets[0].SOPInstanceUID),
        **(identity_of(group.datasets[0]) | {"frame_of_reference_uid": source.frame_of_reference_uid}),
    )


def _kind(dataset: Dataset) -> Kind:
    word = str(dataset.get("SegmentationType", "")) or ("LABELMAP" if str(dataset.SOPClassUID) == _LABELMAP else "")
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        if word == kind:
            return kind
    raise InvalidInputError("A segmentation is neither BINARY, FRACTIONAL nor LABELMAP.")


def _decode(dataset: Dataset, count: int) -> NDArray[Any]:
    """All frames, (frames, rows, columns)."""
    try:
        pixels = np.asarray(pixel_array(dataset))
        return pixels.reshape(count, int(dataset.Rows), int(dataset.Columns))
    except (AttributeError, ValueError, TypeError, KeyError, IndexError, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        # as in frames.stored_pixels: what pydicom's decoders raise on damaged data
        raise InvalidInputError(f"The pixels of a segmentation cannot be decoded ({type(error).__name__}).") from None


def _match(
    dataset: Dataset, kind: Kind, segments: Sequence[Segment], frames: Sequence[Frame], images: Sequence[SeriesAttributes]
) -> tuple[Grid, list[Where], list[int | None]]:
    """The grid that the frames lie on, where each lies there, and its segment (None in a label map)."""
    tiled = dataset.get("TotalPixelMatrixRows") is not None
    layers = 1 if kind == "LABELMAP" else len(segments)
    offsets = tile_offsets(dataset, layers) if tiled else []
    full = str(dataset.get("DimensionOrganizationType", "")) == "TILED_FULL"
    if kind == "LABELMAP":
        numbers: list[int | None] = [None] * len(frames)
    elif full and tiled:
        numbers = [segments[layer].number for layer, _, _ in offsets]
    else:
        numbers = [_segment_number(frame) for frame in frames]
    referenced = {str(item.get("SeriesInstanceUID", "")) for item in dataset.get("ReferencedSeriesSequence") or []}
    space = str(dataset.get("FrameOfReferenceUID", ""))
    candidates = [i for i in images if i.series_uid in referenced]
    candidates += [i for i in images if i not in candidates and space and i.frame_of_reference_uid == space]
    for image in candidates:
        if (image.space == "slide") != tiled:
            continue
        level = slide_level(dataset, image) if tiled else 0
        grid = grid_of(image, level) if level is not None else None
        if grid is None or grid.shape[-2:] != (total_size(dataset) if tiled else (int(dataset.Rows), int(dataset.Columns))):
            continue
        places = [_tile(dataset, row, column) for _, row, column in offsets] if tiled else [_place(frame, grid) for frame in frames]
        if None not in places:
            return grid, [p for p in places if p is not None], numbers
    raise InvalidInputError(
        f"No image here has the grid of a segmentation ({len(candidates)} compared).",
        hint="Ingest it together with the series that it segments.",
    )


def _tile(dataset: Dataset, row: int, column: int) -> Where | None:
    return slice(row, row + int(dataset.Rows)), slice(column, column + int(dataset.Columns))


def _place(frame: Frame, grid: Grid) -> Where | None:
    """Where a frame lies in the grid of a volume, a projection or a clip; None when it does not."""
    plane = plane_at(frame.geometry, grid.image) if "z" in grid.dims else referenced_frame(frame, grid.image)
    return None if plane is None else (plane,) if len(grid.shape) > 2 else ()  # noqa: PLR2004 - a projection is its only plane


def _segment_number(frame: Frame) -> int:
    number = functional_group(frame.dataset, frame.number, "SegmentIdentificationSequence").get("ReferencedSegmentNumber")
    if number is None:
        raise InvalidInputError("A frame of a segmentation does not say which segment it shows.")
    return int(number)


def _paint(grid: Grid, segments: Sequence[Segment], drawn: Sequence[Drawn]) -> tuple[NDArray[Any], bool]:
    """The label array, and whether segments overlap and so have a plane each."""
    known = {s.number for s in segments}
    dtype = label_type(segments)
    flat = empty(grid.shape, dtype)
    for frame, where, number in drawn:
        view = flat[where]
        part = frame[: view.shape[0], : view.shape[1]]
        if number is None:
            if not set(np.unique(frame).tolist()) <= {0, *known}:
                raise InvalidInputError("A label map holds a label that none of its segments has.")
            view[...] = part
            continue
        inside = part > 0
        if bool((inside & (view != 0) & (view != number)).any()):
            layers = _stack(grid, segments, dtype, drawn)
            for layer, segment in zip(layers, segments, strict=True):
                layer[layer > 0] = segment.number
            return layers, True
        view[inside] = number
    if {number for _, _, number in drawn if number is not None} - known:
        raise InvalidInputError("A frame of a segmentation names a segment that is not described.")
    return flat, False


def _stack(grid: Grid, segments: Sequence[Segment], dtype: "np.dtype[Any]", drawn: Sequence[Drawn]) -> NDArray[Any]:
    """The values of the frames, one plane a segment."""
    known: dict[int | None, int] = {s.number: i for i, s in enumerate(segments)}
    layers = empty((len(segments), *grid.shape), dtype)
    for frame, where, number in drawn:
        if number not in known:
            raise InvalidInputError("A frame of a segmentation names a segment that is not described.")
        view = layers[(known[number], *where)]
        view[...] = frame[: view.shape[0], : view.shape[1]]
    return layers


def label_type(segments: Sequence[Segment]) -> "np.dtype[Any]":
    """The smallest dtype that holds the segments' numbers."""
    return np.dtype("<u1") if max(s.number for s in segments) <= _BYTE else np.dtype("<u2")


def empty(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """An array of zeros. Raises `InvalidInputError` for one that is too large to be held in memory."""
    if math.prod(shape) * dtype.itemsize > _MOST:
        raise InvalidInputError("A segmentation is larger than the store takes.", hint="Store it on a coarser level of its image.")
    return np.zeros(shape, dtype=dtype)
