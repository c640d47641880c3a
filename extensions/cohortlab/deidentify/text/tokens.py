"""Which written marks belong on an image and tell nobody who it is: laterality, view, orientation. Everything else is text.

Lead letters lie on the cassette of a mammogram or a radiograph, scanners write A, P, R, L, H, F at the edges of a slice. A letter that
stands alone identifies nobody. The lists are closed: a mark with anything beside it, such as a technologist's initials, is text.
"""

import re
from difflib import SequenceMatcher
from typing import Final

from cohortlab.deidentify.text.triage import Marks

_SIDES: Final = ("R", "L")
_COMMON: Final = ("CC", "MLO")
_VIEWS: Final = (  # PS3.16 CID 4014, 4015 and the names that are used for them
    *_COMMON, "ML", "LM", "LMO", "XCC", "XCCL", "XCCM", "FB", "SIO", "ISO", "AT", "CV", "AX", "TAN", "SPOT", "MAG", "RM", "RL", "RI",
    "RS", "AP", "PA", "LAT", "OBL",
)  # fmt: skip
_POSITIONS: Final = ("HFS", "HFP", "FFS", "FFP", "HFDR", "HFDL", "FFDR", "FFDL")
_AXES: Final = ("RL", "AP", "HF")
_BETWEEN: Final = re.compile(r"[^0-9A-Z]+")
_SHAPES: Final = frozenset("0OoQDCcU1IlJ|-_./\\()[]<>\u4e00\u53e3\u3007\u25a1 ")  # the last: strokes and boxes of Chinese writing
_ALIKE: Final = 0.5  # of the signs in common: Garcia read as Garra is alike, as HLO is not
_LOOKALIKES: Final = str.maketrans("01|!", "OLLL")


def _parts(mark: str) -> set[str]:
    """A mark and what is left of it at the edge of the image, at least two signs of it."""
    return {mark[a:b] for a in range(len(mark)) for b in range(a + 2, len(mark) + 1)}


_PROJECTION: Final = frozenset(
    {side + view for side in ("", *_SIDES) for view in _VIEWS}
    | {view + side for side in _SIDES for view in _COMMON}
    | {part for side in _SIDES for view in _COMMON for part in _parts(side + view)}
)
_PLANE: Final = frozenset({a + b for one in _AXES for other in _AXES if one != other for a in one for b in other} | set(_POSITIONS))


def signs(text: str) -> int:
    """How many letters and digits a text has, of any script."""
    return sum(c.isalnum() for c in text)


def alike(one: str, other: str) -> bool:
    """Whether two readings of a place are of the same writing: at least half of their letters and digits in common, in their order."""
    plain, against = ("".join(c for c in text.upper() if c.isalnum()) for text in (one, other))
    return SequenceMatcher(None, plain, against, autojunk=False).ratio() >= _ALIKE


def is_letter(text: str, marks: Marks) -> bool:
    """Whether a recognised text stands alone: one sign, or on a projection a number of two digits, as film and cassette have.

    A few of them on an image identify nobody; the reader counts them.
    """
    count = signs(text)
    return count <= 1 or (marks is Marks.PROJECTION and count == 2 and sum(c.isdecimal() for c in text) == 2)  # noqa: PLR2004  two digits


def is_shape(text: str) -> bool:
    """Whether a sign that stands alone is also a shape of anatomy and devices: a ring, a bar, a box. Such signs are not counted."""
    return set(text) <= _SHAPES


def is_marker(text: str, marks: Marks, *, cut: bool = False) -> bool:
    """Whether a recognised text is a mark of its kind of image.

    Marks are read as they are often misread: a zero for an O, a one for an L. Case does not matter, nor what stands between side and view.
    cut: the text reaches the edge of a projection, so its first or last sign may be half a letter and is not looked at.
    """
    plain = _BETWEEN.sub("", text.upper()).translate(_LOOKALIKES)
    if signs(plain) < signs(text):  # signs of other scripts were taken out
        return False
    if marks is Marks.PLANE:
        return plain in _PLANE
    return plain in _PROJECTION or (cut and (plain[1:] in _PROJECTION or plain[:-1] in _PROJECTION))
