"""The text reader: finds writing in a frame and reads it. What it read never leaves this module; where, how sure and how long does.

A neural text detector (PP-OCRv6, by differentiable binarisation: Liao et al. 2020) marks where writing may be, a recogniser reads each
place the right way up, upside down and mirrored. Anatomy looks like single signs, an O around a head, and reads as nothing with
confidence; writing is what reads as several signs with confidence, and reads alike in second looks at the same place (see `looks`). Both
models lie in the wheel of `rapidocr` and run in this process; nothing is fetched from anywhere, and nothing here can be: no part of that
package is asked to load them.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidocr.ch_ppocr_det.utils import DBPostProcess
from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode

from cohortlab.deidentify.text.looks import LOOKS, line, looks
from cohortlab.deidentify.text.tokens import alike, is_letter, is_marker, is_shape, signs
from cohortlab.deidentify.text.triage import Marks
from cohortlab.deidentify.text.verdict import Box, Found, Length
from cohortlab.deidentify.text.views import Picture, Tile, View, tiles, views
from cohortlab.errors import IntegrityError, UnavailableError

_MODELS: Final = {
    "PP-OCRv6_det_small.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    "PP-OCRv6_rec_small.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}
"""The models that the thresholds below were measured with, by SHA-256: other models are other readers."""

_SIDE, _OVERLAP = 1024, 128  # pixels of a tile and what neighbours share
_BORDER: Final = 32  # pixels of ground around a tile: the detector misses what touches its picture's edge
_STEP: Final = 32  # the detector's pictures are multiples of this
_LETTER: Final = 48  # rows of the recogniser's pictures
_LEAST_WIDTH, _MOST_WIDTH = 96, 2400
_MOST_BOXES: Final = 200  # of a tile: more places than that are texture
_REMEMBERED: Final = 64  # tiles, of frames read before
_EDGE: Final = 2  # pixels of a picture
_SURER: Final = 0.2  # of confidence: one reading of a place against another one
_WORD: Final = 4  # signs: more of them make a reading no clearer
_HIGHEST, _LEAST_ASPECT = 0.5, 2  # of the frame's shorter side; of width to height: what is higher and no longer is no line
_OVER, _SAME = 0.3, 0.7  # of the smaller box: from when on two boxes are over each other, and at the same place


@dataclass(frozen=True)
class Limits:
    """When a reading counts as writing: the recogniser's confidence (mean over the signs, 0 to 1) that a text of so many signs needs.

    Signs that stand alone are no text, but `letters` of them that are read with `sure` in one frame are: letters far apart are a name too.
    agreeing, agreeing_short: how many of the second looks have to read alike, of a text of more than three signs, and of a shorter one.
    """

    two: float = 0.85
    three: float = 0.7
    more: float = 0.55
    sure: float = 0.9
    letters: int = 6
    agreeing: int = 3
    agreeing_short: int = 4

    def passed(self, count: int, confidence: float) -> bool:
        """Whether a reading of `count` signs is writing."""
        return count > 1 and confidence >= (self.two if count == 2 else self.three if count == 3 else self.more)  # noqa: PLR2004  as named


@dataclass(frozen=True)
class Reading:
    """What one frame holds. found: writing that is not allowed. markers: places with an allowed mark. letters: signs that stand alone."""

    found: tuple[Found, ...]
    markers: int
    letters: int


@dataclass(frozen=True)
class _Place:
    """A place with writing on it, by what it is. `kind`: text, marker or letter. `text`: forgotten once second looks confirmed it."""

    box: Box
    confidence: float
    kind: str
    signs: int
    text: str = ""

    @property
    def length(self) -> Length:
        """The class of its length."""
        return Length.SHORT if self.signs <= 3 else Length.WORD if self.signs <= 12 else Length.LINE  # noqa: PLR2004  see `Length`


def tool() -> str:
    """Name and version of what reads, for the record of a store."""
    return f"rapidocr {version('rapidocr')} PP-OCRv6 small, onnxruntime {version('onnxruntime')}"


class Reader:
    """Detector and recogniser in this process. threads: how many each run may use; one for each process of a pool.

    Raises `UnavailableError` when the models are not installed, `IntegrityError` when they are not the ones that were measured.
    """

    def __init__(self, *, threads: int = 1, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        cv2.setNumThreads(threads)
        self._detector, self._recogniser = (_session(name, digest, threads) for name, digest in _MODELS.items())
        self._boxes = DBPostProcess(thresh=0.3, box_thresh=0.5, max_candidates=_MOST_BOXES, unclip_ratio=1.6, use_dilation=True)
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._decode = CTCLabelDecode(character=characters)
        self._seen: OrderedDict[bytes, tuple[_Place, ...]] = OrderedDict()

    def read(self, frame: NDArray[Any], marks: Marks = Marks.PLANE) -> Reading:
        """Read one frame, (rows, columns) of any dtype or (rows, columns, 3) RGB. Raises `ValueError` for another shape."""
        if frame.ndim not in {2, 3} or (frame.ndim == 3 and frame.shape[2] < 3) or 0 in frame.shape:  # noqa: PLR2004  as named
            raise ValueError("A frame has rows and columns, and three samples if it has colours.")
        places: list[_Place] = []
        for view in views(frame):
            for tile in tiles(view, _SIDE, _OVERLAP):
                places += self._remembered(frame, view, tile, marks)
        return self._judge(_distinct(places))

    def _judge(self, places: Sequence[_Place]) -> Reading:
        texts = [p for p in places if p.kind == "text"]
        letters = [p for p in places if p.kind == "letter"]
        count = sum(p.signs for p in letters)
        if count >= self._limits.letters:
            texts += letters
        found = tuple(Found(p.box, round(p.confidence, 3), p.length) for p in texts)
        return Reading(found, sum(p.kind == "marker" for p in places), count)

    def _remembered(self, frame: NDArray[Any], view: View, tile: Tile, marks: Marks) -> tuple[_Place, ...]:
        """The places of a tile; those of an earlier frame where its pixels are the same, as around the picture of an ultrasound clip."""
        rows, columns = (
            slice(int(start / view.scale), int(np.ceil((start + length) / view.scale)))
            for start, length in ((tile.y, tile.rows), (tile.x, tile.columns))
        )
        part = np.ascontiguousarray(frame[rows, columns])
        key = hashlib.sha256(f"{view.name} {view.scale} {tile} {part.dtype} {part.shape} {marks}".encode() + part.tobytes()).digest()
        places = self._seen.pop(key, None)
        if places is None:
            places = tuple(self._places(view, tile, marks, part, (columns.start, rows.start)))
        self._seen[key] = places
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return places

    def _places(self, view: View, tile: Tile, marks: Marks, part: NDArray[Any], first: tuple[int, int]) -> Iterator[_Place]:
        """What is written on a tile. part: the same of the frame, from column and row `first` on."""
        picture = view.picture[tile.y : tile.y + tile.rows, tile.x : tile.x + tile.columns]
        for corners in self._detect(picture):
            if _too_high(corners, view):
                continue
            readings = self._recognise(line(picture, corners.astype(np.float32)))
            place = self._place(readings, _box(corners, tile, view.scale), marks, cut=_at_edge(corners, tile, view))
            if place is None:
                continue
            if place.kind != "text":
                yield place
            elif self._confirmed(place.text, part, (corners + np.array([tile.x, tile.y])) / view.scale - np.array(first)):
                yield replace(place, text="")

    def _confirmed(self, text: str, part: NDArray[Any], corners: NDArray[np.float64]) -> bool:
        """Whether enough second looks at a place read alike."""
        needed = self._limits.agreeing if signs(text) > 3 else self._limits.agreeing_short  # noqa: PLR2004  see `Limits`
        agreed = 0
        for number, picture in enumerate(looks(part, corners.astype(np.float32))):
            if agreed + LOOKS - number < needed:
                break
            agreed += any(self._limits.passed(signs(read), sure) and alike(text, read) for read, sure in self._recognise(picture))
            if agreed >= needed:
                return True
        return False

    def _place(self, readings: Sequence[tuple[str, float]], box: Box, marks: Marks, *, cut: bool) -> _Place | None:
        """What a place holds, by all its readings: text, an allowed marker, signs that stand alone, or nothing that was read for sure.

        A marker in one turn is no text in another one, unless that is both longer and surer: MLO upside down is OJM. Nor is a doubtful
        reading text where the same place stands alone for sure, with a sign less at most: 15 upside down is 155.
        """
        passed = [(signs(text), confidence, text) for text, confidence in readings if self._limits.passed(signs(text), confidence)]
        alone = [(confidence, text) for text, confidence in readings if is_letter(text, marks) and confidence >= self._limits.sure]
        lines = [
            (count, confidence, text)
            for count, confidence, text in passed
            if not is_letter(text, marks) and not any(count <= signs(one) + 1 and sure - confidence >= _SURER for sure, one in alone)
        ]
        if lines:
            count, surest = max(n for n, _, _ in lines), max(sure for _, sure, _ in lines)
            for signed, sure, text in lines:
                if (signed == count or sure == surest) and is_marker(text, marks, cut=cut):
                    return _Place(box, sure, "marker", signed)
            clearest = max(lines, key=lambda reading: reading[1] * min(reading[0], _WORD))
            return _Place(box, surest, "text", count, clearest[2])
        if not alone or is_shape(max(alone)[1]):
            return None
        confidence, text = max(alone)
        return _Place(box, confidence, "letter", signs(text))

    def _detect(self, picture: Picture) -> NDArray[np.int32]:
        """Corners of the places where writing may be, (places, 4, 2) as column and row, clockwise from the first."""
        rows, columns = (side + 2 * _BORDER for side in picture.shape[:2])
        below, right = -rows % _STEP, -columns % _STEP
        padded = cv2.copyMakeBorder(picture, _BORDER, _BORDER + below, _BORDER, _BORDER + right, cv2.BORDER_REPLICATE)
        tensor = (np.asarray(padded, dtype=np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        run = self._detector.run(None, {"x": np.ascontiguousarray(tensor)})[0]
        boxes, _scores = self._boxes(np.asarray(run), (rows + below, columns + right))
        corners = np.asarray(boxes, dtype=np.int32).reshape(-1, 4, 2) - _BORDER
        return corners.clip(0, (picture.shape[1] - 1, picture.shape[0] - 1)).astype(np.int32)

    def _recognise(self, crop: Picture) -> list[tuple[str, float]]:
        """Readings of a line of writing that lies along the columns, with their confidence: upright, upside down, mirrored either way."""
        rows, columns = crop.shape[:2]
        width = min(_MOST_WIDTH, max(1, round(columns * _LETTER / max(rows, 1))))
        line = np.asarray(cv2.resize(crop, (width, _LETTER)), dtype=np.float32) / 127.5 - 1
        readings: list[tuple[str, float]] = []
        for turns in (_UPRIGHT, _MIRRORED):
            batch = np.zeros((len(turns), 3, _LETTER, max(width, _LEAST_WIDTH)), dtype=np.float32)
            for turned, (down, across) in zip(batch, turns, strict=True):
                turned[:, :, :width] = line[::down, ::across].transpose(2, 0, 1)
            lines, _words = self._decode(np.asarray(self._recogniser.run(None, {"x": batch})[0]))
            readings += [(str(text), float(confidence)) for text, confidence in lines]
            if max(signs(text) for text, _ in readings) <= 1 or max(confidence for _, confidence in readings) >= self._limits.sure:
                break  # no line of writing, or one that is the right way up
        return readings


_UPRIGHT: Final = ((1, 1), (-1, -1))
_MIRRORED: Final = ((-1, 1), (1, -1))
"""Steps along rows and columns of a crop: as it is and turned half round; mirrored up and down, left and right."""


@cache
def reader() -> Reader:
    """The reader of this process, made at its first use. A process that is forked later makes its own."""
    return Reader()


os.register_at_fork(after_in_child=reader.cache_clear)


def _session(name: str, digest: str, threads: int) -> Any:
    """A model of the wheel, ready to run on the CPU."""
    place = files("rapidocr").joinpath("models", name)
    try:
        model = place.read_bytes()
    except OSError:
        raise UnavailableError(
            f"The text reader's model {name} is not installed.", hint="Install Cohortlab with its extra `site` again."
        ) from None
    if hashlib.sha256(model).hexdigest() != digest:
        raise IntegrityError(f"The text reader's model {name} is not the one that was measured.", hint="Install the locked versions.")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the pinned version reports to nobody; a newer one, put there in spite of the pin, would
    import onnxruntime  # noqa: PLC0415  after the line above

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = False  # tiles differ in size: an arena would keep the largest of each
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _box(corners: NDArray[np.int32], tile: Tile, scale: float) -> Box:
    """The upright rectangle around `corners`, in pixels of the frame."""
    corner = np.array([tile.x, tile.y])
    x, y = (int(v) for v in np.floor((corners.min(axis=0) + corner) / scale))
    right, bottom = (int(v) for v in np.ceil((corners.max(axis=0) + corner) / scale))
    return Box(x, y, max(1, right - x), max(1, bottom - y))


def _too_high(corners: NDArray[np.int32], view: View) -> bool:
    """Whether a place is the whole of a small picture instead of a line of writing on it."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return bool(sides.min() > _HIGHEST * min(view.picture.shape[:2]) and sides.max() < _LEAST_ASPECT * sides.min())


def _at_edge(corners: NDArray[np.int32], tile: Tile, view: View) -> bool:
    """Whether a place reaches the edge of its picture, to a pixel or two."""
    rows, columns = view.picture.shape[:2]
    placed = corners + np.array([tile.x, tile.y])
    (left, top), (right, bottom) = placed.min(axis=0), placed.max(axis=0)
    return bool(min(left, top) <= _EDGE or right >= columns - 1 - _EDGE or bottom >= rows - 1 - _EDGE)


def _distinct(places: Sequence[_Place]) -> list[_Place]:
    """Places without repeats from other views: text before markers before letters, the surest first; what lies over another one goes.

    A marker that is surer and no shorter than a text at the same place is right about it: an O for a C is a common misreading.
    """
    order = {"text": 0, "marker": 1, "letter": 2}
    markers = [p for p in places if p.kind == "marker"]
    kept: list[_Place] = []
    for place in sorted(places, key=lambda p: (order[p.kind], -p.confidence)):
        if place.kind == "text" and any(
            m.signs >= place.signs and m.confidence > place.confidence and _shared(place.box, m.box) > _SAME for m in markers
        ):
            continue
        if not any(_shared(place.box, other.box) > _OVER for other in kept):
            kept.append(place)
    return kept


def _shared(one: Box, other: Box) -> float:
    """The common area of two boxes, as a part of the smaller one."""
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0, wide) * max(0, high) / min(one.width * one.height, other.width * other.height)
