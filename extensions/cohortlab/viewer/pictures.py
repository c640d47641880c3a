"""Slices as pictures of 8 bits: after a window, as the screen hangs them, as WebP or PNG.

For thumbnails, for readers without WebGL and for notebooks; the viewer itself gets values and makes its pictures in the browser.
"""

import io
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cohortlab.viewer.answers import TooLargeError
from cohortlab.viewer.planes import Plane

CAVEAT = "For research, not for diagnosis"
_WEBP_LONGEST = 16_383  # pixels of a side that the format can hold
_QUALITY = 85
_COLOUR = 3  # dimensions of rows, columns, samples
_BYTE = 255


def windowed(values: npt.NDArray[Any], window: tuple[float, float], *, inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Grey of 8 bits after a linear window (centre, width), PS3.3 C.11.2.1.2.1; `inverted` for MONOCHROME1.

    Values that are not finite are dark. Colour (rows, columns, 3) is passed on, 16 bits cut down to 8.
    """
    if values.ndim == _COLOUR:
        return values.astype(np.uint8) if values.dtype.itemsize == 1 else (values >> 8).astype(np.uint8)
    center, width = window
    step = max(width - 1, 1e-9) if values.dtype.kind in "iu" else width
    shift = 0.5 if values.dtype.kind in "iu" else 0.0
    grey = np.clip((np.nan_to_num(values.astype(np.float64)) - (center - shift)) / step + 0.5, 0, 1) * _BYTE
    made = np.rint(grey).astype(np.uint8)
    return np.asarray(_BYTE - made if inverted else made)


def hung(picture: npt.NDArray[np.uint8], plane: Plane) -> npt.NDArray[np.uint8]:
    """A picture in the array's order, turned and flipped as `plane` hangs it. Rows are the first of the two axes that are left."""
    first = next(name for name in "zyx" if name != plane.axis)
    if plane.down.axis != first:
        picture = np.swapaxes(picture, 0, 1)
    return np.ascontiguousarray(picture[:: plane.down.sign, :: plane.right.sign])


def scaled(picture: npt.NDArray[np.uint8], plane: Plane, size: int) -> "Image.Image":
    """A hung picture with square pixels whose longer side is `size`."""
    high, wide = plane.down.count * plane.down.spacing, plane.right.count * plane.right.spacing
    longest = max(high, wide)
    target = (max(1, round(wide / longest * size)), max(1, round(high / longest * size)))
    return Image.fromarray(picture).resize(target, Image.Resampling.BILINEAR)


def encoded(image: "Image.Image", form: Literal["webp", "png"]) -> bytes:
    """The bytes of a picture. Raises `TooLargeError` for one that WebP cannot hold."""
    if form == "webp" and max(image.size) > _WEBP_LONGEST:
        raise TooLargeError("This picture is larger than WebP can be.", hint="Ask for a coarser level or a region.")
    out = io.BytesIO()
    if form == "webp":
        image.save(out, "WEBP", quality=_QUALITY, method=1)
    else:
        image.save(out, "PNG")
    return out.getvalue()


def webp(picture: npt.NDArray[np.uint8]) -> bytes:
    """A grey (rows, columns) or colour (rows, columns, 3) picture as WebP."""
    return encoded(Image.fromarray(picture), "webp")


@cache
def _font() -> Any:
    return ImageFont.load_default(11)


def with_caveat(image: "Image.Image") -> "Image.Image":
    """The picture with a line below it that says what it is not for."""
    made = Image.new("RGB", (max(image.width, 190), image.height + 18), "black")
    made.paste(image, ((made.width - image.width) // 2, 0))
    ImageDraw.Draw(made).text((4, image.height + 3), CAVEAT, fill="white", font=_font())
    return made
