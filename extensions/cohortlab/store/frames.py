"""Frames: the single images of DICOM instances, whether one to a file or many, with their place and their pixels.

A classic instance has one frame and says where it lies at its top level. An enhanced multi-frame instance says it in
functional groups, shared or per frame (PS3.3 C.7.6.16). Both become `Frame` values, so that all that follows is the same.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.utils import pixel_array

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import Axis, SliceGeometry
from cohortlab.store.deferred import rewind
from cohortlab.store.geometry import as_vector, is_orientation

_SIEMENS_B_VALUE = ("SIEMENS MR HEADER", 0x0019, 0x0C)
_SEQUENCE_B_VALUE = re.compile(r"ep_b(\d+)")
_PIXEL_LIMIT = 2**31  # bytes of one frame; more is a header that lies


class HiddenBitsError(InvalidInputError):
    """Compressed pixels hold something beside the bits that the header says are stored."""

    code = "hidden-bits"


@dataclass(frozen=True)
class Frame:
    """One image: the instance that holds it, its 0-based number there, its place if it has one in the patient."""

    dataset: Dataset
    number: int
    geometry: SliceGeometry | None

    @property
    def uid(self) -> str:
        """SOPInstanceUID of the instance."""
        return str(self.dataset.SOPInstanceUID)


def functional_group(dataset: Dataset, number: int, sequence: str) -> Dataset:
    """The first item of a functional group macro for a frame: its own, else the shared one, else an empty dataset."""
    found: Dataset
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in (per_frame[number : number + 1], shared[:1]):
        for item in groups:
            if macro := item.get(sequence):
                found = macro[0]
                return found
    return Dataset()


def is_multi_frame(dataset: Dataset) -> bool:
    """Whether the instance tells its frames' places in functional groups."""
    return "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset


def geometry_of(dataset: Dataset, number: int = 0) -> SliceGeometry | None:
    """Place of frame `number`, or None when the header does not say where it lies in the patient.

    Raises `InvalidInputError` when it says something that no image can have: cosines that are no directions, no spacing above 0.
    """
    if is_multi_frame(dataset):
        position = functional_group(dataset, number, "PlanePositionSequence").get("ImagePositionPatient")
        orientation = functional_group(dataset, number, "PlaneOrientationSequence").get("ImageOrientationPatient")
        spacing = functional_group(dataset, number, "PixelMeasuresSequence").get("PixelSpacing")
    elif frame_count(dataset) > 1:
        return None  # one place at the top level is none for several frames
    else:
        position, orientation, spacing = (dataset.get(k) for k in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    if not position or not orientation or not spacing:
        return None
    try:
        cosines = [float(v) for v in orientation]
        row_gap, column_gap = (float(v) for v in spacing)
        place = as_vector(position)
    except (TypeError, ValueError):
        raise InvalidInputError("An instance has a position, orientation or pixel spacing that cannot be read as numbers.") from None
    if not is_orientation(cosines):
        raise InvalidInputError("An instance has an ImageOrientationPatient that is not two directions at a right angle.")
    if not (0 < row_gap < np.inf and 0 < column_gap < np.inf):
        raise InvalidInputError("An instance has a PixelSpacing that is not above 0.")
    a, b, c, d, e, f = cosines
    return SliceGeometry(position=place, orientation=(a, b, c, d, e, f), spacing=(row_gap, column_gap))


def frame_count(dataset: Dataset) -> int:
    """NumberOfFrames, 1 when absent."""
    try:
        count = int(dataset.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise InvalidInputError("An instance has a NumberOfFrames that is no count.")
    return count


def frames_of(dataset: Dataset) -> list[Frame]:
    """All frames of an instance, in its own order."""
    return [Frame(dataset, number, geometry_of(dataset, number)) for number in range(frame_count(dataset))]


def stored_pixels(frame: Frame) -> NDArray[Any]:
    """Stored pixel values of a frame, (rows, columns), or (rows, columns, samples) in colour, before any rescale.

    Raises `InvalidInputError` when the pixel data are cut short, of a transfer syntax that no plug-in here decodes, or damaged,
    `HiddenBitsError` when compressed ones hold more than BitsStored.
    """
    dataset = frame.dataset
    try:
        size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1)) * (int(dataset.BitsAllocated) // 8 or 1)
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError("An instance does not say how large its image is.") from None
    if not 0 < size < _PIXEL_LIMIT:
        raise InvalidInputError("An instance claims an image of impossible size.")
    rewind(dataset)
    try:
        pixels = pixel_array(dataset, index=frame.number)
    except (AttributeError, ValueError, TypeError, KeyError, IndexError, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        # pydicom's decoders and their plug-ins raise all of these on damaged data; their texts may quote the header
        raise InvalidInputError(
            f"The pixels of an instance cannot be decoded ({type(error).__name__}).",
            hint="The file is truncated, damaged or of an unknown transfer syntax.",
        ) from None
    found = np.asarray(pixels)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated and _beside(dataset, found):
        raise HiddenBitsError("Pixels of an instance hold values outside of BitsStored.", hint="Something may be hidden in them.")
    return found


def _beside(dataset: Dataset, pixels: NDArray[Any]) -> bool:
    """Whether values need more bits than BitsStored (PS3.5 8.1.1), as JPEG 2000 and JPEG-LS can have, which have a precision of their own.

    Other decoders mask such bits; in pixels that are not compressed the gate has looked for them.
    """
    stored = int(dataset.get("BitsStored") or 0)
    if pixels.dtype.kind not in "iu" or not 0 < stored < 8 * pixels.dtype.itemsize or not pixels.size:
        return False
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if pixels.dtype.kind == "i" else (0, (1 << stored) - 1)
    return bool(pixels.min() < low or pixels.max() > high)


def number_of(dataset: Dataset, number: int, keyword: str) -> float | None:
    """A numeric value that tells volumes of one series apart, from the frame's functional groups or the top level; None if absent."""
    value: Any = None
    if keyword == "DiffusionBValue":
        value = functional_group(dataset, number, "MRDiffusionSequence").get(keyword, dataset.get(keyword))
        if value is None:
            value = _b_value(dataset)
    elif keyword == "EchoTime":
        value = functional_group(dataset, number, "MREchoSequence").get("EffectiveEchoTime", dataset.get(keyword))
    elif keyword == "TemporalPositionIndex":
        value = functional_group(dataset, number, "FrameContentSequence").get(keyword, dataset.get("TemporalPositionIdentifier"))
    else:
        value = dataset.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    with contextlib.suppress(TypeError, ValueError):
        return None if value is None else float(value)
    return None


def _b_value(dataset: Dataset) -> float | None:
    """The b-value where older Siemens headers keep it: a private element, or the sequence's name."""
    creator, group, element = _SIEMENS_B_VALUE
    with contextlib.suppress(KeyError, ValueError, TypeError):
        raw = dataset.private_block(group, creator)[element].value
        return float(raw.decode("ascii") if isinstance(raw, bytes) else raw)
    found = _SEQUENCE_B_VALUE.search(str(dataset.get("SequenceName", "")))
    return float(found.group(1)) if found else None


def clip_times(dataset: Dataset) -> Axis | None:
    """The time axis of a multi-frame instance that is a clip (PS3.3 C.7.6.5), in ms since its first frame; None for any other.

    From FrameTimeVector, FrameTime, or the rate it is to be shown at; a rate says no more than how fast a person should see it.
    """
    count = frame_count(dataset)
    steps = dataset.get("FrameTimeVector")
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        if isinstance(steps, MultiValue) and len(steps) == count:
            values = np.cumsum([0.0, *(float(v) for v in steps[1:])])
        else:
            rate = dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate")
            step = float(dataset.get("FrameTime") or 0) or 1000 / float(rate)
            values = step * np.arange(count)
        if np.isfinite(values).all() and (np.diff(values) > 0).all():
            return Axis(name="time", values=tuple(round(v, 6) for v in values.tolist()), unit="ms")
    return None


def iterate_times(dataset: Dataset) -> Iterator[float]:
    """The moments an instance gives, in seconds of the day, best first: acquisition, then content."""
    for keyword in ("AcquisitionTime", "ContentTime"):
        text = str(dataset.get(keyword) or "")
        found = re.fullmatch(r"(\d{2})(\d{2})(\d{2}(?:\.\d+)?)", text)
        if found:
            yield int(found.group(1)) * 3600 + int(found.group(2)) * 60 + float(found.group(3))
