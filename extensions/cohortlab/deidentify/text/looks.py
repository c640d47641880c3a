"""Second looks at a place that was read as writing: the same line from the frame's own pixels, in other sizes and contrasts. No OCR here.

Writing reads alike however it is looked at; texture of bone or bowel that happens to read as two or three letters reads as something else
as soon as size or contrast change. Of made-up names on real CT and MR, each that was read at all read alike in most of these looks
(tests/benchmarks/burned_in_text.py).
"""

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidocr.utils.process_img import get_rotate_crop_image

from cohortlab.deidentify.text.views import Picture, flattened, grey, spread, strokes, three

HEIGHTS: Final = (24, 40)
"""Rows of the line in each size."""
LOOKS: Final = 3 * len(HEIGHTS)
"""How many pictures `looks` gives."""
_AROUND: Final = 0.6  # of the line's height: ground around it
_LONGEST: Final = 3000  # pixels of a picture's longer side


def line(picture: Picture, corners: NDArray[np.float32]) -> Picture:
    """What lies between four corners (column, row; clockwise from the first), turned so that it lies along the columns."""
    return np.asarray(get_rotate_crop_image(picture, corners.astype(np.float32)), dtype=np.uint8)


def looks(frame: NDArray[Any], corners: NDArray[np.float32]) -> Iterator[Picture]:
    """Pictures of one line of a frame, (rows, columns[, 3]) of any dtype: window, local contrast and strokes, each in all `HEIGHTS`.

    corners: (4, 2) as column and row of the frame, clockwise from the first.
    """
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    height = max(float(sides.min()), 1.0)
    margin = _AROUND * height + 4
    left, top = (int(v) for v in np.maximum(np.floor(corners.min(axis=0) - margin), 0))
    right, bottom = (int(v) for v in np.ceil(corners.max(axis=0) + margin) + 1)
    part = _plane(frame[top:bottom, left:right])
    for rows in HEIGHTS:
        scale = min(rows / height, _LONGEST / max(part.shape))
        resized = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        values = np.asarray(resized, dtype=np.float32)
        placed = (corners - (left, top) + 0.5) * scale - 0.5
        for picture in (spread(values), flattened(values), strokes(values)):
            yield line(three(picture), placed)


def _plane(part: NDArray[Any]) -> NDArray[np.float32]:
    """One value a pixel: of colours the sample that differs most, so that writing as bright as its ground is seen."""
    if part.ndim > 2:  # noqa: PLR2004  rows and columns
        return grey(part[..., int(np.argmax([part[..., sample].std() for sample in range(3)]))])
    return grey(part)
