"""What the gateway answers with, what it is asked, and how its work is stopped: plain values, no web framework."""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from cohortlab.errors import CohortlabError, InvalidInputError, NotFoundError, RefusedError

FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"

_DIGITS = 9  # of a number in a query: more are past any image's size
_PARAMETERS = 32
_REGION = 4  # row, column, rows, columns
type Region = tuple[int, int, int, int]
"""Row, column, rows, columns."""


class TooLargeError(RefusedError):
    """An answer would be larger than the gateway sends."""

    code = "too-large"


class RangeError(InvalidInputError):
    """A range of bytes that the object does not have."""

    code = "invalid-range"


class ArrayGoneError(NotFoundError):
    """An array that a kernel had registered is not there any more."""

    code = "array-gone"


class BusyError(RefusedError):
    """Too many requests of one person at once."""

    code = "busy"


class GoneError(CohortlabError):
    """Nobody waits for the answer any more."""

    code = "gone"


class Stop:
    """Tells a running question that its asker has gone."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """The asker has gone."""
        self._event.set()

    @property
    def stopped(self) -> bool:
        """Whether nobody waits any more."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `GoneError` when nobody waits any more."""
        if self._event.is_set():
            raise GoneError("Nobody waits for this any more.")


NEVER = Stop()
"""For questions whose asker stays."""


@dataclass(frozen=True)
class Answer:
    """What to send: a body and its headers. `etag` names the content, `status` is 200 or, for a range, 206."""

    body: bytes
    content_type: str
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


def json_answer(value: Mapping[str, Any], cache: str = ASK_AGAIN) -> Answer:
    """`value` as JSON."""
    body = json.dumps(value, allow_nan=False).encode()
    return Answer(body, "application/json", digest(body), {"Cache-Control": cache})


def digest(content: bytes) -> str:
    """A short name of `content`."""
    return hashlib.sha256(content).hexdigest()[:32]


def version_of(*pixels: str) -> str:
    """The short name of pixels, by their digests, that a URL may name to be kept for ever."""
    return "-".join(one[:16] for one in pixels)


def cache_control(named: str, *pixels: str) -> str:
    """For ever under the pixels' own name, else to be asked again."""
    return FOR_EVER if named == version_of(*pixels) else ASK_AGAIN


@dataclass(frozen=True)
class SliceRequest:
    """Which slice: of `level`, the `index` in that level's own voxels, `frame` of a fourth axis; `on` an image's grid.

    `region` cuts a part out; `segment` is the number of the only one to show; `picture` asks for WebP after `window` (centre, width).
    """

    plane: str
    index: int
    level: int = 0
    frame: int = 0
    on: str = ""
    version: str = ""
    region: Region | None = None
    segment: int | None = None
    picture: bool = False
    window: tuple[float, float] | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "SliceRequest":
        """From the parameters of a URL. Raises `InvalidInputError`."""
        known(query, "plane", "index", "level", "t", "on", "region", "segment", "format", "center", "width")
        if "plane" not in query or "index" not in query:
            raise InvalidInputError("A slice is asked for by plane and index.")
        form = query.get("format", "raw")
        if form not in {"raw", "webp"}:
            raise InvalidInputError("The format of a slice is raw or webp.")
        if form == "raw" and query.keys() & {"center", "width"}:
            raise InvalidInputError("A window is for pictures: ask with format=webp.")
        return cls(
            query["plane"],
            whole(query, "index"),
            whole(query, "level"),
            whole(query, "t"),
            query.get("on", ""),
            query.get("v", ""),
            _region(query),
            whole(query, "segment") if "segment" in query else None,
            form == "webp",
            _window(query),
        )


def known(query: Mapping[str, str], *names: str) -> None:
    """Raise `InvalidInputError` when `query` has a parameter beside `names` and those that all routes take."""
    if set(query) - {*names, "v", "_xsrf"}:
        raise InvalidInputError("The address has a parameter that is not known here.", hint=f"Known are {', '.join((*names, 'v'))}.")


def whole(query: Mapping[str, str], name: str, default: int = 0) -> int:
    """A whole number of `query`. Raises `InvalidInputError`."""
    return _whole(query[name], name) if name in query else default


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidInputError(f"{name} must be a whole number.")
    return int(text)


def _region(query: Mapping[str, str]) -> Region | None:
    if "region" not in query:
        return None
    parts = query["region"].split(",")
    if len(parts) != _REGION:
        raise InvalidInputError("region is row,column,rows,columns.")
    row, column, rows, columns = (_whole(part, "Each number of region") for part in parts)
    if not (rows and columns):
        raise InvalidInputError("A region has at least one row and one column.")
    return row, column, rows, columns


def _window(query: Mapping[str, str]) -> tuple[float, float] | None:
    if not query.keys() & {"center", "width"}:
        return None
    try:
        center, width = float(query["center"]), float(query["width"])
    except (KeyError, ValueError):
        raise InvalidInputError("A window is given by center and width, both numbers.") from None
    if not (abs(center) < float("inf") and 0 < width < float("inf")):
        raise InvalidInputError("The width of a window is above 0, and both its numbers are finite.")
    return center, width


def pairs(query: str) -> list[tuple[str, str]]:
    """The parameters of a URL's query. Raises `InvalidInputError` for one that has too many."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_PARAMETERS)
    except ValueError:
        raise InvalidInputError("The address has too many parameters.") from None


def single(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a URL by name. Raises `InvalidInputError` when one comes twice."""
    found = dict(given)
    if len(found) != len(given):
        raise InvalidInputError("The address has a parameter twice.")
    return found
