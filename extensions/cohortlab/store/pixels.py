"""From frames to the values of an array: their dtype, their units, and a reader that gives them slab by slab.

CT becomes Hounsfield units as int16 when slope and intercept are whole numbers, the same for all slices, and the result
fits; int32 when it does not fit. Any other rescale is recorded and not applied, so that no value is ever rounded.
"""

import hashlib
from collections.abc import Callable
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from cohortlab.errors import InvalidInputError
from cohortlab.store.colour import is_colour
from cohortlab.store.contracts import Rescale
from cohortlab.store.frames import Frame, functional_group, stored_pixels
from cohortlab.store.series import SeriesGroup


class OutOfRangeError(Exception):
    """A value does not fit the dtype that was hoped for; the writer starts again with a wider one."""


class Source(Protocol):
    """What the array writer reads: the whole array's shape and dtype, and its slices."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        """Slices [start, stop) along the first spatial axis, all of y and x, at index `lead` of the axes before it."""
        ...


def rescale_of(group: SeriesGroup) -> Rescale | None:
    """The rescale of a series as it will be stored, None when its headers give none or it is in colour."""
    if is_colour(group):
        return None
    pairs = [_pair(frame) for volume in group.frames for frame in volume]
    if all(pair is None for pair in pairs):
        return None
    if any(pair is None for pair in pairs):
        raise InvalidInputError("Some images of a series have a rescale slope and some do not.")
    given = [pair for pair in pairs if pair is not None]
    slope, intercept = given[0]
    if len(set(given)) > 1:
        return Rescale(per_slice=tuple(given))
    whole = float(slope).is_integer() and float(intercept).is_integer() and slope != 0
    return Rescale(slope=slope, intercept=intercept, applied=group.modality == "CT" and whole)


def _pair(frame: Frame) -> tuple[float, float] | None:
    """RescaleSlope and RescaleIntercept of a frame."""
    holder: Dataset = functional_group(frame.dataset, frame.number, "PixelValueTransformationSequence")
    slope = holder.get("RescaleSlope", frame.dataset.get("RescaleSlope"))
    intercept = holder.get("RescaleIntercept", frame.dataset.get("RescaleIntercept"))
    if slope is None or intercept is None:
        return None
    try:
        return float(slope), float(intercept)
    except (TypeError, ValueError):
        raise InvalidInputError("An instance has a rescale that cannot be read as numbers.") from None


def units_of(group: SeriesGroup, rescale: Rescale | None) -> str | None:
    """Units of the values after rescale: HU for CT, PET's own (PS3.3 C.8.9.1.1.3), else what RescaleType says. None in colour."""
    if is_colour(group):
        return None
    if group.modality == "CT":
        return "HU"
    first = group.datasets[0]
    if units := first.get("Units"):
        return str(units)
    kind = first.get("RescaleType") if rescale else None
    return str(kind) if kind and kind != "US" else None


def window_of(group: SeriesGroup) -> tuple[float, float] | None:
    """Window centre and width, in units after rescale: the median over the images, each image's first choice."""
    found: list[tuple[float, float]] = []
    for frame in (frame for volume in group.frames for frame in volume):
        holder = functional_group(frame.dataset, frame.number, "FrameVOILUTSequence")
        pair = []
        for keyword in ("WindowCenter", "WindowWidth"):
            value = holder.get(keyword, frame.dataset.get(keyword))
            pair.append(value if value is None or isinstance(value, str | float | int) else next(iter(value), None))
        if pair[0] is not None and pair[1] is not None and float(pair[1]) > 0:
            found.append((float(pair[0]), float(pair[1])))
    return (median(c for c, _ in found), median(w for _, w in found)) if found else None


class FrameSource:
    """The pixels of a series as a `Source`. It hashes what it reads, so it is read once, from first to last slice.

    pixels: digest of the values as stored in the array; stored: digest of the decoded DICOM frames.
    """

    def __init__(self, group: SeriesGroup, rescale: Rescale | None, applied: np.dtype[Any] | None, on_slice: Callable[[], None]) -> None:
        # a clip's frames, one to each moment, are read along time as slices of a volume are along z
        clip = group.axis is not None and group.layout is None and all(len(volume) == 1 for volume in group.frames)
        self._frames = (tuple(volume[0] for volume in group.frames),) if clip else group.frames
        self._rescale = rescale if rescale is not None and rescale.applied else None
        self._on_slice = on_slice
        first = group.frames[0][0]
        head = stored_pixels(first)
        self._stored = head.dtype.newbyteorder("<")
        self.dtype = self._stored if self._rescale is None or applied is None else applied
        self._plane = head.shape
        planes = (len(self._frames[0]),) if clip or group.layout is not None or len(self._frames[0]) > 1 else ()
        lead = (len(group.frames),) if group.axis is not None and not clip else ()
        self.shape = (*lead, *planes, *head.shape)
        self.frame_digests: list[str] = []
        self._pixels, self._source = hashlib.sha256(), hashlib.sha256()

    @property
    def pixels(self) -> str:
        """SHA-256 of all values read, in the array's C order."""
        return self._pixels.hexdigest()

    @property
    def stored(self) -> str:
        """SHA-256 of the decoded frames, in the same order."""
        return self._source.hexdigest()

    def read(self, lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        """Decode slices [start, stop) of volume `lead`."""
        volume = self._frames[lead[0] if lead else 0]
        values = np.empty((stop - start, *self._plane), dtype=self.dtype)
        for index, frame in enumerate(volume[start:stop]):
            stored = stored_pixels(frame)
            if stored.shape != self._plane or stored.dtype.newbyteorder("<") != self._stored:
                raise InvalidInputError("The images of a series differ in size or sort of pixel.")
            raw = np.ascontiguousarray(stored, dtype=self._stored)
            self._source.update(raw.data)
            self.frame_digests.append(hashlib.sha256(raw.data).hexdigest())
            values[index] = raw if self._rescale is None else self._apply(raw, self._rescale)
            self._pixels.update(values[index].data)
            self._on_slice()
        return values

    def _apply(self, raw: NDArray[Any], rescale: Rescale) -> NDArray[Any]:
        wide = raw.astype(np.int64) * int(rescale.slope) + int(rescale.intercept)
        limits = np.iinfo(self.dtype)
        if wide.min() < limits.min or wide.max() > limits.max:
            raise OutOfRangeError
        return wide.astype(self.dtype)
