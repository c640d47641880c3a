"""Colour images and colour clips: decoded to red, green and blue, whatever the instance holds, with the samples along ``c``.

YBR and palette pixels become RGB as pydicom converts them (PS3.3 C.7.6.3.1.2, C.7.9.2). Samples lie in planes (``c, y, x``) and not
side by side, for OME-Zarr wants channels before space; a reader moves the axis at no cost.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from cohortlab.errors import InvalidInputError
from cohortlab.store.frames import Frame, stored_pixels
from cohortlab.store.series import SeriesGroup

GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
SAMPLES: Final = ("red", "green", "blue")
_PALETTE_GROUP: Final = 0x0028
_COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "PALETTE COLOR"})


def is_colour(group: SeriesGroup) -> bool:
    """Whether a series is stored as RGB. Raises `InvalidInputError` for a PhotometricInterpretation that is neither grey nor colour."""
    photometric = str(group.frames[0][0].dataset.get("PhotometricInterpretation", ""))
    if photometric in GREY:
        return False
    if photometric not in _COLOUR:
        raise InvalidInputError(
            "The PhotometricInterpretation of a series is one that the store does not take.", hint=f"It takes {', '.join(sorted(_COLOUR))}."
        )
    return True


def rgb_pixels(frame: Frame) -> NDArray[Any]:
    """A colour frame as (rows, columns, 3) red, green, blue. Raises `InvalidInputError` when it cannot be decoded or is none."""
    pixels = stored_pixels(frame)
    if str(frame.dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
        try:
            pixels = apply_color_lut(pixels, _little_endian_palette(frame.dataset))
        except (ValueError, AttributeError, TypeError, KeyError, IndexError) as error:
            raise InvalidInputError(f"The palette of an instance cannot be read ({type(error).__name__}).") from None
    if pixels.ndim != 3 or pixels.shape[-1] != len(SAMPLES):  # noqa: PLR2004 - rows, columns, samples
        raise InvalidInputError("A colour image does not have three samples a pixel.")
    return np.asarray(pixels)


def _little_endian_palette(dataset: Dataset) -> Dataset:
    """The palette of an instance, its look-up tables in little endian, which is what pydicom takes them to be."""
    palette = Dataset()
    palette.file_meta = FileMetaDataset()
    palette.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for element in dataset.group_dataset(_PALETTE_GROUP):
        if "PaletteColorLookupTable" not in element.keyword:
            continue
        value = element.value
        if isinstance(value, bytes) and dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
            value = np.frombuffer(value, dtype=">u2").astype("<u2").tobytes()
        palette[element.tag] = DataElement(element.tag, element.VR, value)
    return palette


class ColourSource:
    """The pixels of a colour series as a `Source`, with the array's order ``[t,] c, [z,] y, x``.

    It hashes what it reads, so it is read once, from first to last. `stored` goes over the decoded frames, RGB side by side.
    """

    def __init__(self, group: SeriesGroup, on_slice: Callable[[], None]) -> None:
        self._on_slice = on_slice
        self._clip = group.axis is not None
        if self._clip and (len(group.frames[0]) > 1 or group.axis_letter != "t"):
            raise InvalidInputError("A colour series has more dimensions than time, colour and a plane, which the store does not take.")
        self._frames = tuple(frame for volume in group.frames for frame in volume)
        self._volume = not self._clip and (group.layout is not None or len(self._frames) > 1)
        head = rgb_pixels(self._frames[0])
        self.dtype = head.dtype.newbyteorder("<")
        self._plane = head.shape
        plane = head.shape[:2]
        count = len(self._frames)
        self.shape: tuple[int, ...] = (len(SAMPLES), *plane)
        if self._clip:
            self.shape = (count, *self.shape)
        elif self._volume:
            self.shape = (len(SAMPLES), count, *plane)
        self.frame_digests: list[str] = []
        self._pixels, self._source = hashlib.sha256(), hashlib.sha256()

    @property
    def pixels(self) -> str:
        """SHA-256 of all values read, in the array's C order."""
        return self._pixels.hexdigest()

    @property
    def stored(self) -> str:
        """SHA-256 of the decoded frames."""
        return self._source.hexdigest()

    def read(self, lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        """Planes [start, stop) along the axis before y: samples of a frame, or slices of one sample of a volume."""
        if self._volume:
            sample = lead[0]
            planes = [self._decode(frame, note=sample == 0)[..., sample] for frame in self._frames[start:stop]]
        else:
            pixels = self._decode(self._frames[lead[0] if lead else 0], note=start == 0)
            planes = [pixels[..., sample] for sample in range(start, stop)]
        values = np.ascontiguousarray(np.stack(planes), dtype=self.dtype)
        self._pixels.update(values.data)
        return values

    def _decode(self, frame: Frame, *, note: bool) -> NDArray[Any]:
        """A frame's pixels; `note` its digest, which is done once a frame."""
        pixels = rgb_pixels(frame)
        if pixels.shape != self._plane or pixels.dtype.newbyteorder("<") != self.dtype:
            raise InvalidInputError("The images of a series differ in size or sort of pixel.")
        if note:
            raw = np.ascontiguousarray(pixels, dtype=self.dtype)
            self._source.update(raw.data)
            self.frame_digests.append(hashlib.sha256(raw.data).hexdigest())
            self._on_slice()
        return pixels
