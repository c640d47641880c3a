"""Pictures of a frame that a text detector can read: scales, contrasts, tiles. Pure; no OCR here.

A detector made for photographs misses text on anatomy for three reasons, and each has its answer here. The whole head or breast looks
like one large sign and swallows what is written over it: `strokes` takes away everything broader than a pen's stroke, on dark and light
ground alike, and `flattened` makes contrast the same everywhere. The window is wrong for text at the end of a 16-bit range: both are
relative to their surroundings, so there is no window to choose. Letters are too small or too large: each frame is looked at in several
scales, large ones in overlapping tiles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

type Picture = NDArray[np.uint8]
"""(rows, columns, 3), 0 to 255."""

STROKE: Final = 15
"""Pixels: structures broader than this are taken away by `strokes`."""
_SPREAD: Final = 12.0  # standard deviation in pixels of the surroundings of `flattened`
_FLOOR: Final = 0.02  # of the frame's range: differences below stay small in `flattened`, so that noise is no text
_SIGMAS: Final = 3.0
_LOW, _HIGH = 0.5, 99.5  # percentiles: a few hot pixels do not set the range
_SMALL, _MIDDLE = 160, 1100  # pixels of the shorter and longer side
_COARSEST: Final = 300  # pixels of the shorter side at which no smaller scale follows
_GREY_DIMENSIONS: Final = 2


@dataclass(frozen=True)
class Tile:
    """A part of a scaled picture: its first row and column there, its rows and columns."""

    y: int
    x: int
    rows: int
    columns: int


def grey(frame: NDArray[Any]) -> NDArray[np.float32]:
    """(rows, columns[, 3]) of any dtype as float32 (rows, columns); colours by their luminance. Not-a-number becomes the least value."""
    values = frame.astype(np.float32)
    if values.ndim > _GREY_DIMENSIONS:
        values = values[..., :3] @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, values[finite].min() if finite.any() else 0).astype(np.float32)


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """The range without the extremes; the whole range where most of the frame is one value."""
    low, high = (
        float(v) for v in np.percentile(values[:: max(1, values.shape[0] // 1024), :: max(1, values.shape[1] // 1024)], (_LOW, _HIGH))
    )
    return (low, high) if high > low else (float(values.min()), float(values.max()))


def _bytes(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = (np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    return scaled


def plain(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """The frame as it is, from its least to its greatest value; colours stay. (rows, columns[, 3])."""
    if frame.dtype == np.uint8 and frame.ndim > _GREY_DIMENSIONS:
        return np.asarray(frame[..., :3])
    values = grey(frame)
    return _bytes(values, float(values.min()), float(values.max()))


def spread(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """From black to white over the range without the extremes."""
    return _bytes(values, *_limits(values))


def strokes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Only what is as thin as a stroke: white and black top-hat (Serra 1982), light strokes above middle grey and dark ones below it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STROKE, STROKE))
    thin = np.asarray(cv2.morphologyEx(values, cv2.MORPH_TOPHAT, kernel)) - np.asarray(cv2.morphologyEx(values, cv2.MORPH_BLACKHAT, kernel))
    most = float(np.percentile(np.abs(thin), _HIGH)) or float(np.abs(thin).max())
    return _bytes(thin.astype(np.float32), -most, most)


def flattened(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Each pixel against mean and standard deviation of its surroundings (local contrast normalisation)."""
    low, high = _limits(values)
    reach = (high - low) / 2
    clipped = np.clip(values, low - reach, high + reach)
    difference = clipped - np.asarray(cv2.GaussianBlur(clipped, (0, 0), _SPREAD))
    deviation = np.sqrt(np.asarray(cv2.GaussianBlur(difference * difference, (0, 0), _SPREAD)))
    return _bytes((difference / (deviation + _FLOOR * (high - low) + 1e-9)).astype(np.float32), -_SIGMAS, _SIGMAS)


@dataclass(frozen=True)
class View:
    """One picture of a frame.

    scale: pixels of the picture for a pixel of the frame, along both axes. worth: where there may be text at all, a cell for each `CELL` by
    `CELL` pixels of the picture.
    """

    name: str
    scale: float
    picture: Picture
    worth: NDArray[np.bool_]


CELL: Final = 16
"""Pixels of a picture along each side of a cell of `View.worth`."""
FAINTEST: Final = 0.03
"""Of the frame's range: fainter strokes are not looked at."""
FAINTEST_LARGE: Final = 0.1
"""The same on large frames, which are mammograms and radiographs: the grain of a film is about 0.05."""
_WINDOW = 24  # pixels: two letters of 12 pixels height lie in such a window, and have more than
_LEAST_PIXELS = 40  # pixels of stroke in it
_MARGIN = 2  # cells around what is worthwhile: the rest of a line, and ground for the detector


def worthwhile(values: NDArray[np.float32], faintest: float) -> NDArray[np.bool_]:
    """Which cells of (rows, columns) may hold letters: where enough pixels of a window have a top-hat above `faintest` of the range.

    The top-hat of a stroke thinner than its kernel is the stroke's full contrast to its ground, so no two letters of 12 pixels or more with
    that contrast are left out; broad letters are thin at a coarser scale. Background and smooth tissue are, which is most of a mammogram.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE, STROKE))
    least = faintest * _range(values)
    thin = (np.asarray(cv2.morphologyEx(values, cv2.MORPH_TOPHAT, kernel)) > least) | (
        np.asarray(cv2.morphologyEx(values, cv2.MORPH_BLACKHAT, kernel)) > least
    )
    dense = np.asarray(cv2.boxFilter(thin.astype(np.float32), -1, (_WINDOW, _WINDOW), normalize=False)) >= _LEAST_PIXELS
    rows, columns = (-(-side // CELL) * CELL for side in dense.shape)
    padded = np.zeros((rows, columns), dtype=bool)
    padded[: dense.shape[0], : dense.shape[1]] = dense
    cells = padded.reshape(rows // CELL, CELL, columns // CELL, CELL).any(axis=(1, 3))
    wide = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), dtype=np.uint8)
    return np.asarray(cv2.dilate(cells.astype(np.uint8), wide)).astype(bool)


def _range(values: NDArray[np.float32]) -> float:
    low, high = _limits(values)
    return max(high - low, 1e-9)


def three(picture: NDArray[np.uint8]) -> Picture:
    """The same grey in each of three samples; colours stay."""
    return picture if picture.ndim > _GREY_DIMENSIONS else np.repeat(picture[..., None], 3, axis=2)


def _enlarged(picture: NDArray[np.uint8], times: int) -> Picture:
    return three(np.asarray(cv2.resize(picture, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), dtype=np.uint8))


def views(frame: NDArray[Any]) -> Iterator[View]:
    """The pictures of a frame, (rows, columns) of any dtype or (rows, columns, 3) RGB, that together show its text to a detector."""
    values = grey(frame)
    rows, columns = values.shape
    if max(rows, columns) > _MIDDLE:
        yield from _large(values)
        return
    worth = worthwhile(values, FAINTEST)
    thin, whole = strokes(values), plain(frame)
    larger = (2, 4) if min(rows, columns) <= _SMALL else (2,)
    yield View("strokes", 1, three(thin), worth)
    yield View("plain", 1, three(whole), worth)
    for times in larger:
        yield View("strokes", times, _enlarged(thin, times), np.kron(worth, np.ones((times, times), dtype=bool)))
    if min(rows, columns) <= _SMALL:
        for times in larger:
            yield View("plain", times, _enlarged(whole, times), np.kron(worth, np.ones((times, times), dtype=bool)))
    else:
        half = np.asarray(cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float32)
        yield View("strokes", 0.5, three(strokes(half)), worthwhile(half, FAINTEST))


def _large(values: NDArray[np.float32]) -> Iterator[View]:
    """Views of a frame that is large enough to show small letters as they are; each coarser scale shows larger ones."""
    yield View("strokes", 1, three(strokes(values)), worthwhile(values, FAINTEST_LARGE))
    scale = 1.0
    while min(values.shape) > 2 * _COARSEST:
        scale /= 2
        values = np.asarray(cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float32)
        name, picture = ("flattened", flattened(values)) if scale == 0.5 else ("strokes", strokes(values))  # noqa: PLR2004  half
        yield View(name, scale, three(picture), worthwhile(values, FAINTEST_LARGE))
    everywhere = np.ones_like(worthwhile(values, FAINTEST_LARGE))
    yield View("plain", scale, three(_bytes(values, float(values.min()), float(values.max()))), everywhere)


def tiles(view: View, side: int, overlap: int) -> Iterator[Tile]:
    """Rectangles around all worthwhile cells that touch each other, each in tiles of at most `side` pixels that share `overlap` pixels.

    A tile is cut down to the worthwhile cells in it, for what lies around them costs as much to look at.
    """
    rows, columns = view.picture.shape[:2]
    for top_cell, left_cell, bottom_cell, right_cell in _rectangles(view.worth):
        y0, x0, y1, x1 = top_cell * CELL, left_cell * CELL, min(bottom_cell * CELL, rows), min(right_cell * CELL, columns)
        for y, height in _spans(y0, y1, side, overlap):
            for x, width in _spans(x0, x1, side, overlap):
                inside = view.worth[y // CELL : -(-(y + height) // CELL), x // CELL : -(-(x + width) // CELL)]
                if inside.any():
                    top, bottom = _cut(inside.any(axis=1), y, height)
                    left, right = _cut(inside.any(axis=0), x, width)
                    yield Tile(top, left, bottom - top, right - left)


def _cut(worth: NDArray[np.bool_], start: int, length: int) -> tuple[int, int]:
    """First pixel and end of the worthwhile cells between `start` and `start + length`; the first cell holds `start`."""
    cells = np.flatnonzero(worth) + start // CELL
    return max(start, int(cells[0]) * CELL), min(start + length, (int(cells[-1]) + 1) * CELL)


def _rectangles(worth: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Rectangles of cells (top, left, bottom, right) around the connected parts of a mask; those that overlap become one."""
    found = [
        (y, x, y + h, x + w) for x, y, w, h, _ in cv2.connectedComponentsWithStats(worth.astype(np.uint8), connectivity=8)[2][1:].tolist()
    ]
    merged = True
    while merged:
        merged = False
        done: list[tuple[int, int, int, int]] = []
        for one in found:
            for n, other in enumerate(done):
                if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]:
                    done[n] = (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))
                    merged = True
                    break
            else:
                done.append(one)
        found = done
    return found


def _spans(first: int, last: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """Start and length of tiles along one axis: as few as cover it, equally long, none longer than `side`."""
    length = last - first
    count = max(1, -(-(length - overlap) // (side - overlap)))
    size = -(-(length + (count - 1) * overlap) // count)
    return [(min(first + n * (size - overlap), last - size), size) for n in range(count)]
