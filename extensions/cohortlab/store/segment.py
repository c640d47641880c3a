"""DICOM SEG (PS3.3 A.51) as a label array on the grid of the image that it segments.

A segmentation belongs to the image whose series it refers to and whose grid its frames lie on: same directions and pixel size,
same first pixel, a slice at each frame's place, within a hundredth of a voxel. Without such an image it is refused: a label that
has to be moved to fit is no longer what was drawn. Segments that overlap get one plane each along ``c``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import Axis, Code, Segment, SeriesAttributes, SliceGeometry
from cohortlab.store.describe import NO_DIGESTS, identity_of
from cohortlab.store.frames import Frame, functional_group
from cohortlab.store.geometry import normal, place_slice, same_plane
from cohortlab.store.series import SeriesGroup

_LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
_NEAR = 0.01  # of a voxel
_BYTE = 255


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
    """Labels of a SEG on the grid of one of `images`.

    Raises `InvalidInputError` when none of them has that grid, or the SEG is fractional or damaged.
    """
    dataset = group.datasets[0]
    kind = str(dataset.get("SegmentationType", "")) or ("LABELMAP" if str(dataset.SOPClassUID) == _LABELMAP else "")
    if kind not in {"BINARY", "LABELMAP"}:
        raise InvalidInputError("A segmentation is neither BINARY nor LABELMAP, which the store does not take.")
    segments = tuple(_segment(item) for item in dataset.get("SegmentSequence") or [] if int(item.get("SegmentNumber", 0)) > 0)
    if not segments:
        raise InvalidInputError("A segmentation names no segment.")
    frames = group.frames[0]
    source, planes = _match(dataset, frames, images)
    pixels = _decode(dataset, len(frames))
    numbers = [None if kind == "LABELMAP" else _segment_number(frame) for frame in frames]
    values, overlap = _paint(source, segments, pixels, planes, numbers)
    attributes = SeriesAttributes(
        id=group.id,
        kind="segmentation",
        modality="SEG",
        dims=("c", "z", "y", "x") if overlap else ("z", "y", "x"),
        shape=values.shape,
        dtype=values.dtype.name,
        levels=(values.shape,),
        affine=source.affine,
        positions=source.positions,
        spacing=source.spacing,
        slices=source.slices,
        regular=source.regular,
        irregular_reason=source.irregular_reason,
        axis=Axis(name="segment", values=tuple(float(s.number) for s in segments)) if overlap else None,
        instances=1,
        deidentification=deidentification,
        digests=NO_DIGESTS,
        segments=segments,
        source_series=source.id,
        **(identity_of(dataset) | {"frame_of_reference_uid": source.frame_of_reference_uid}),
    )
    return Labels(attributes, values, hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest())


def _decode(dataset: Dataset, count: int) -> NDArray[Any]:
    """All frames, (frames, rows, columns)."""
    try:
        pixels = np.asarray(pixel_array(dataset))
        return pixels.reshape(count, int(dataset.Rows), int(dataset.Columns))
    except (AttributeError, ValueError, TypeError, KeyError, IndexError, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        # as in frames.stored_pixels: what pydicom's decoders raise on damaged data
        raise InvalidInputError(f"The pixels of a segmentation cannot be decoded ({type(error).__name__}).") from None


def _match(dataset: Dataset, frames: Sequence[Frame], images: Sequence[SeriesAttributes]) -> tuple[SeriesAttributes, list[int]]:
    """The image that the frames lie on, and the slice of each frame."""
    referenced = {str(item.get("SeriesInstanceUID", "")) for item in dataset.get("ReferencedSeriesSequence") or []}
    space = str(dataset.get("FrameOfReferenceUID", ""))
    candidates = [i for i in images if i.series_uid in referenced]
    candidates += [i for i in images if i not in candidates and space and i.frame_of_reference_uid == space]
    for image in candidates:
        if image.shape[-2:] == (int(dataset.Rows), int(dataset.Columns)):
            planes = [_plane(frame.geometry, image) for frame in frames]
            if None not in planes:
                return image, [p for p in planes if p is not None]
    raise InvalidInputError(
        f"No image here has the grid of a segmentation ({len(candidates)} compared).",
        hint="Ingest it together with the series that it segments.",
    )


def _plane(geometry: SliceGeometry | None, image: SeriesAttributes) -> int | None:
    """The slice of `image` at this place, None when there is none."""
    if geometry is None:
        return None
    if image.affine is not None:
        z, y, x = place_slice(geometry, image.affine)
        index = round(z)
        near = max(abs(z - index), abs(y), abs(x)) <= _NEAR and same_plane(geometry, image.affine)
        return index if near and 0 <= index < image.shape[-3] else None
    for index, slice_ in enumerate(image.slices or ()):
        shift = np.abs(np.subtract(geometry.position, slice_.position)).max() <= _NEAR * min(slice_.spacing)
        if shift and np.allclose(normal(geometry), normal(slice_), atol=1e-4) and np.allclose(geometry.spacing, slice_.spacing, rtol=1e-4):
            return index
    return None


def _segment_number(frame: Frame) -> int:
    number = functional_group(frame.dataset, frame.number, "SegmentIdentificationSequence").get("ReferencedSegmentNumber")
    if number is None:
        raise InvalidInputError("A frame of a segmentation does not say which segment it shows.")
    return int(number)


def _paint(
    image: SeriesAttributes, segments: Sequence[Segment], pixels: NDArray[Any], planes: Sequence[int], numbers: Sequence[int | None]
) -> tuple[NDArray[Any], bool]:
    """The label array, and whether segments overlap and so have a plane each."""
    known = {s.number: i for i, s in enumerate(segments)}
    dtype = np.dtype("<u1") if max(known) <= _BYTE else np.dtype("<u2")
    flat = np.zeros(image.shape[-3:], dtype=dtype)
    overlap = False
    for frame, plane, number in zip(pixels, planes, numbers, strict=True):
        if number is None:
            if not set(np.unique(frame).tolist()) <= {0, *known}:
                raise InvalidInputError("A label map holds a label that none of its segments has.")
            flat[plane] = frame
            continue
        if number not in known:
            raise InvalidInputError("A frame of a segmentation names a segment that is not described.")
        inside = frame > 0
        overlap = overlap or bool((inside & (flat[plane] != 0) & (flat[plane] != number)).any())
        flat[plane][inside] = number
    if not overlap:
        return flat, False
    layers = np.zeros((len(segments), *flat.shape), dtype=dtype)
    for frame, plane, number in zip(pixels, planes, numbers, strict=True):
        if number is not None:
            layers[known[number], plane][frame > 0] = number
    return layers, True


def _code(item: Dataset | None) -> Code | None:
    """A code sequence item (PS3.3 8.8)."""
    if item is None:
        return None
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    return (
        Code(value=str(value), scheme=str(item.get("CodingSchemeDesignator", "")), meaning=str(item.get("CodeMeaning", "")))
        if value
        else None
    )


def _segment(item: Dataset) -> Segment:
    """One item of the SegmentSequence."""
    sequences = {
        "category": item.get("SegmentedPropertyCategoryCodeSequence"),
        "type": item.get("SegmentedPropertyTypeCodeSequence"),
        "region": item.get("AnatomicRegionSequence"),
    }
    codes = {name: code for name, sequence in sequences.items() if sequence and (code := _code(sequence[0])) is not None}
    colour = item.get("RecommendedDisplayCIELabValue")
    return Segment(
        number=int(item.SegmentNumber),
        label=str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}"),
        color=cielab_to_rgb([int(v) for v in colour]) if colour else None,
        codes=codes,
        algorithm=str(item.SegmentAlgorithmType) if item.get("SegmentAlgorithmType") else None,
    )


def cielab_to_rgb(scaled: Sequence[int]) -> tuple[int, int, int]:
    """RecommendedDisplayCIELabValue (0..65535 scaled as PS3.3 C.10.7.1.1) to sRGB 0..255, by way of XYZ (D65, CIE 15)."""
    lightness, a, b = scaled[0] * 100 / 65535, scaled[1] * 255 / 65535 - 128, scaled[2] * 255 / 65535 - 128
    fy = (lightness + 16) / 116
    parts = np.asarray([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29)) * [0.95047, 1.0, 1.08883]
    to_rgb = np.asarray([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    linear = np.clip(to_rgb @ xyz, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # noqa: PLR2004 - IEC 61966-2-1
    red, green, blue = (round(v * 255) for v in encoded.tolist())
    return red, green, blue
