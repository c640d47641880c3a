"""Writes made-up names, dates and numbers over pictures, as devices and people do: seeded, with fonts that come with Pillow and OpenCV."""

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TEXTS = (
    "SMITH^JOHN", "Jane Doe", "DOB 12/03/1961", "MRN 00482913", "12.03.1961", "Garcia, Maria", "MULLER HANS", "St. Elsewhere Hospital",
    "O'Brien P.", "Acc 7781234", "KOWALSKI ANNA 54Y F", "Lee Min", "1961-03-12", "Nguyen", "Dr. House", "ID: A-48213", "ROSSI", "Jensen K",
    "Fernandez", "Ward 7 bed 12", "Okafor^Chidi", "male 67 years", "Tel 555 0142", "Schmidt",
)  # fmt: skip
FONTS = ("aileron", "aileron-bold", "opencv", "opencv-heavy", "bitmap")


def seeded(text: str) -> random.Random:
    """The same choices for the same text."""
    return random.Random(text)  # noqa: S311  to be the same again is what it is for


@dataclass(frozen=True)
class Written:
    """A picture with a text on it. height: of capital letters in pixels. box: column, row, width, height."""

    picture: NDArray[Any]
    text: str
    font: str
    height: int
    contrast: float | str
    turns: int
    box: tuple[int, int, int, int]

    def __str__(self) -> str:
        return f"{self.text!r} {self.font} {self.height} px, contrast {self.contrast}, {self.turns} quarter turns at {self.box}"


def letters(text: str, height: int, font: str) -> NDArray[np.float32]:
    """A text's coverage of each pixel, 0 to 1; its capital letters are `height` pixels high."""
    if font.startswith("opencv"):
        face = cv2.FONT_HERSHEY_DUPLEX if font.endswith("heavy") else cv2.FONT_HERSHEY_SIMPLEX
        scale, thick = _opencv_scale(face, height), max(1, round(height / 12))
        (width, rows), below = cv2.getTextSize(text, face, scale, thick)
        canvas = np.zeros((rows + below + 6, width + 6), dtype=np.uint8)
        cv2.putText(canvas, text, (3, rows + 3), face, scale, 255, thick, cv2.LINE_AA)
        return canvas.astype(np.float32) / 255
    if font == "bitmap":  # capital letters are 7 pixels high, and are enlarged as old devices do
        face = ImageFont.load_default_imagefont()
        left, top, right, bottom = (int(v) for v in face.getbbox(text))
        image = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(image).text((0, 0), text, fill=255, font=face)
        times = max(2, round(height / 7))
        return np.kron(np.asarray(image, dtype=np.float32) / 255, np.ones((times, times), dtype=np.float32))
    size = height / 0.7  # capitals of Aileron are 0.7 of its size
    face = ImageFont.load_default(size)
    bold = max(1, height // 16) if font.endswith("bold") else 0
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, font=face, stroke_width=bold)
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, fill=255, font=face, stroke_width=bold)
    return np.asarray(image, dtype=np.float32) / 255


@cache
def _opencv_scale(face: int, height: int) -> float:
    """The scale at which a capital letter has `height` rows."""
    for step in range(4, 4000):
        canvas = np.zeros((4 * height, 8 * height), dtype=np.uint8)
        cv2.putText(canvas, "H", (2, 3 * height), face, step / 20, 255, max(1, round(height / 12)))
        if (canvas > 127).any(axis=1).sum() >= height:
            return step / 20
    raise ValueError(height)


def write(picture: NDArray[Any], rng: random.Random, *, heights: tuple[int, ...], contrasts: tuple[float | str, ...]) -> Written | None:
    """`picture` (rows, columns[, 3]) with a random text at a random place, or None when none was found where it fits and can be seen.

    A contrast is a part of the picture's range without extremes, added to what is under the text's place or taken away from it; ``max`` is
    the picture's greatest value. It can be seen when nearly each letter differs from its ground by nearly that much, of ``max`` by a fifth.
    """
    for _ in range(60):
        text, font, height, contrast = rng.choice(TEXTS), rng.choice(FONTS), rng.choice(heights), rng.choice(contrasts)
        turns = rng.choice((0, 0, 0, 1, 2, 3))
        cover = np.rot90(letters(text, height, font), turns)
        rows, columns = cover.shape
        if rows >= picture.shape[0] or columns >= picture.shape[1]:
            continue
        y, x = rng.randrange(picture.shape[0] - rows), rng.randrange(picture.shape[1] - columns)
        ground = picture[y : y + rows, x : x + columns].astype(np.float32)
        low, high = (float(v) for v in np.percentile(picture, (0.5, 99.5)))
        if isinstance(contrast, str):
            ink = float(picture.max())
        else:
            ink = float(np.median(ground)) + rng.choice((1, 1, -1)) * contrast * (high - low)
        if picture.dtype.kind in "ui":
            limits = np.iinfo(picture.dtype)
            ink = min(max(ink, limits.min if low < 0 else 0), limits.max)
        mixed = ground + (cover[..., None] if ground.ndim == 3 else cover) * (ink - ground)
        if not _seen(mixed, ground, cover, (0.2 if isinstance(contrast, str) else 0.8 * contrast) * (high - low), len(text)):
            continue
        result = picture.copy()
        result[y : y + rows, x : x + columns] = np.round(mixed) if picture.dtype.kind in "ui" else mixed
        return Written(result, text, font, height, contrast, turns, (x, y, columns, rows))
    return None


def _seen(mixed: NDArray[Any], ground: NDArray[Any], cover: NDArray[np.float32], least: float, count: int) -> bool:
    """Whether nine tenths of the letters differ from what lies between and around them by `least`, in the median of their pixels."""
    if mixed.ndim == 3:
        mixed, ground = mixed.mean(axis=2), ground.mean(axis=2)
    along = 0 if cover.shape[0] > cover.shape[1] else 1
    parts = zip(*(np.array_split(a, count, axis=along) for a in (mixed, ground, cover)), strict=True)
    inked = [(m[c > 0.5], g[c < 0.1]) for m, g, c in parts if (c > 0.5).sum() > 3]
    good = sum(bool(around.size) and abs(float(np.median(ink)) - float(np.median(around))) >= least for ink, around in inked)
    return bool(inked) and good >= 0.9 * len(inked)


def fan(rng: random.Random, rows: int = 600, columns: int = 800) -> NDArray[np.uint8]:
    """A picture like ultrasound's, RGB: a sector of speckle on black, with a grey scale at its side and depth marks, without text."""
    noise = np.random.default_rng(rng.randrange(2**32))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    radius, angle = np.hypot(y + 40, x - columns / 2), np.arctan2(x - columns / 2, y + 40)
    speckle = cv2.GaussianBlur(noise.rayleigh(60, (rows, columns)).astype(np.float32), (0, 0), 1.6)
    structure = cv2.GaussianBlur(noise.normal(1, 5, (rows, columns)).astype(np.float32), (0, 0), 25)
    image = np.where((np.abs(angle) < 0.6) & (radius > 90) & (radius < rows - 30), speckle * np.clip(0.6 + structure, 0.05, 2), 0)
    image[60:260, columns - 40 : columns - 25] = np.linspace(255, 0, 200)[:, None]
    image[80 : rows - 40 : 50, columns - 60 : columns - 52] = 200
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
