"""Frames of DICOM objects as people see them, for reading; and objects written again with regions blanked."""

import copy
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from cohortlab.deidentify.text.mask import blank
from cohortlab.deidentify.text.verdict import Box
from cohortlab.errors import InvalidInputError

_DECODE_ERRORS: Final = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    OSError,
)
"""What pydicom and its decoders raise on pixels that are not what the header says. Not among them: `MemoryError`, the caller's."""


def unreadable() -> InvalidInputError:
    """The error for pixels that cannot be decoded."""
    return InvalidInputError("An object's pixels cannot be decoded.", hint="Copy the file again from its source.")


def decoded(dataset: Dataset, number: int) -> NDArray[Any]:
    """Frame `number` (0-based): (rows, columns) as stored, or (rows, columns, 3) as RGB, palettes applied. Raises `InvalidInputError`."""
    try:
        frame: NDArray[Any] = pixel_array(dataset, index=number)
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            frame = apply_color_lut(frame, dataset)
    except _DECODE_ERRORS:
        raise unreadable() from None  # a decoder's message may hold values of the header
    return frame


class Frames(Sequence[NDArray[Any]]):
    """The frames of one object, each decoded when it is asked for."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        self._dataset, self._count = dataset, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if not isinstance(number, int) or not 0 <= number < self._count:
            raise IndexError(number)
        return decoded(self._dataset, number)


def blanked(dataset: Dataset, regions: Sequence[Box]) -> Dataset:
    """A copy of an object with `regions` blanked in each frame, its pixels uncompressed (Explicit VR Little Endian), colours as RGB.

    The copy shares values with `dataset`, no element. Codes are the caller's to add. Raises `InvalidInputError` when pixels cannot be
    decoded, or are floating point or palette colours, which are not written again.
    """
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR" or "PixelData" not in dataset:
        raise InvalidInputError("This kind of pixels cannot be blanked.", hint="Leave the object out.")
    result = Dataset()
    for element in dataset:
        result.add(copy.copy(element))  # a value that is set anew is set in the element: it must not be the original's
    result.file_meta, result.preamble = copy.copy(dataset.file_meta), getattr(dataset, "preamble", None)
    try:
        frames: NDArray[Any] = pixel_array(dataset)
        colour = int(dataset.SamplesPerPixel) > 1
        single = frames.ndim == (3 if colour else 2)
        done = np.stack([blank(frame, regions) for frame in ([frames] if single else frames)])
        result.set_pixel_data(
            done[0] if single else done, "RGB" if colour else photometric, int(dataset.BitsStored), generate_instance_uid=False
        )
    except _DECODE_ERRORS:
        raise unreadable() from None
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result
