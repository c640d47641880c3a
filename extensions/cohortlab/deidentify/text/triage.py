"""What of an object's pixels has to be looked at for burned-in text, by its header alone; and what is refused without looking.

Headers sort out what declares itself; they prove no picture clean. Everything is looked at whole unless it is known to be a plain
acquisition: of CT, MR, PET, nuclear medicine and slide tiles, where text is rare and frames are many, a sample is read.
"""

import hashlib
import hmac
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from cohortlab.deidentify.text.verdict import TextReason


class Scope(StrEnum):
    """How much is looked at: every frame, a sample of the series' frames, or nothing because there are no pixels that people draw on."""

    ALL = "all"
    SAMPLE = "sample"
    NONE = "none"


class Marks(StrEnum):
    """Which written marks a kind of image has by itself: see `tokens`. Projection: laterality and view. Plane: orientation."""

    PROJECTION = "projection"
    PLANE = "plane"


@dataclass(frozen=True)
class Triage:
    """The answer for one object. `reasons`: facts of the header that refuse it, whatever the pixels show."""

    scope: Scope
    marks: Marks
    frames: int
    reasons: tuple[TextReason, ...] = ()


_SAMPLED: Final = frozenset({"CT", "MR", "PT", "NM", "SM"})
_PROJECTIONS: Final = frozenset({"MG", "DX", "CR", "XA", "RF", "IO", "PX", "OT"})
_NO_PIXELS: Final = frozenset({"RTSTRUCT", "RTPLAN", "SR", "PR", "KO", "REG", "ANN", "RWV"})
_LABELS: Final = frozenset({"SEG"})  # label numbers on a grid: nobody's device writes on them
_GREY_MODALITIES: Final = frozenset({"CT", "MR", "PT", "NM", "MG", "DX", "CR"})
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", ""})
_FILMS: Final = frozenset({"MG", "DX", "CR"})  # digitised films are secondary captures: their pixels are read whole
_SECTIONS: Final = frozenset({"CT", "MR", "PT", "NM"})
_SECONDARY_CAPTURE: Final = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.7(?:\.[1-4])?")
_CAPTURE_VALUE: Final = re.compile(
    r"SCREEN[ _]?(SAVE|SHOT|CAPTURE|CAP)|SCRCAPTURE|DOSE([ _](INFO|REPORT))?|PATIENT[ _]INFO|PROTOCOL|EXAM[ _]?SUMMARY|(CSA )?REPORT|"
    r"REF_SURVIEW|FORM"
)
_CAPTURE_TEXT: Final = re.compile(
    r"screen ?(save|shot|cap)|(dose|exam|patient) ?(report|info|summary|record|page|protocol)|summary series|scan(ned)? document|"
    r"requisition|worksheet",
    re.IGNORECASE,
)
_MOST_FRAMES: Final = 10_000_000  # a header that claims more lies


def _values(header: Dataset, keyword: str) -> list[str]:
    value: Any = header.get(keyword)
    if value is None or value == "":
        return []
    return [str(v).strip() for v in (value if isinstance(value, MultiValue | list) else [value])]


def _first(header: Dataset, keyword: str) -> str:
    return next(iter(_values(header, keyword)), "").upper()


def look(header: Dataset, *, pixels_checked: bool = False) -> Triage:
    """What must be looked at of one object, original or de-identified; pixels are not touched.

    pixels_checked: a person has looked at all frames. That lets a plain secondary capture in (its pixels are read all the same), but not
    what declares itself to be a screen, a summary or a report.
    """
    modality = _first(header, "Modality")
    marks = Marks.PROJECTION if modality in _PROJECTIONS else Marks.PLANE
    if modality in _NO_PIXELS or not {"Rows", "Columns"} <= {e.keyword for e in header.group_dataset(0x0028)}:
        return Triage(Scope.NONE, marks, 0)
    frames = _frames(header)
    if modality in _LABELS:
        return Triage(Scope.NONE, marks, frames)
    reasons = tuple(_reasons(header, modality, pixels_checked=pixels_checked))
    capture = bool(_SECONDARY_CAPTURE.fullmatch(_first(header, "SOPClassUID")))
    flavour = _flavour(header)
    plain = modality in _SAMPLED and not capture and flavour != "OVERVIEW" and _first(header, "BurnedInAnnotation") != "YES"
    return Triage(Scope.SAMPLE if plain else Scope.ALL, marks, frames, reasons)


def _frames(header: Dataset) -> int:
    try:
        number = int(_first(header, "NumberOfFrames") or 1)
    except ValueError:
        return 1
    return number if 0 < number <= _MOST_FRAMES else 1


def _flavour(header: Dataset) -> str:
    """The third value of ImageType: VOLUME, LABEL, OVERVIEW, THUMBNAIL of a slide (PS3.3 C.8.12.4.1.1)."""
    values = _values(header, "ImageType")
    return values[2].upper() if len(values) > 2 else ""  # noqa: PLR2004  the third


def _reasons(header: Dataset, modality: str, *, pixels_checked: bool) -> list[TextReason]:
    found = []
    if _first(header, "BurnedInAnnotation") == "YES":
        found.append(TextReason.DECLARED)
    described = any(_CAPTURE_TEXT.search(v.replace("_", " ")) for k in ("SeriesDescription", "ImageComments") for v in _values(header, k))
    capture = bool(_SECONDARY_CAPTURE.fullmatch(_first(header, "SOPClassUID")))
    if (
        described
        or any(_CAPTURE_VALUE.fullmatch(v.upper()) for v in _values(header, "ImageType")[2:])
        or (capture and modality in _SECTIONS)
    ):
        found.append(TextReason.SCREEN_CAPTURE)
    elif capture and modality not in _FILMS and not pixels_checked:
        found.append(TextReason.SECONDARY_CAPTURE)
    if modality in _GREY_MODALITIES and _first(header, "PhotometricInterpretation") not in _GREY:
        found.append(TextReason.COLOUR)
    if modality == "SM" and (_flavour(header) == "LABEL" or _first(header, "SpecimenLabelInImage") == "YES"):
        found.append(TextReason.LABEL_IMAGE)
    return found


def sample(count: int, key: bytes, *, most: int = 12) -> tuple[int, ...]:
    """Which of `count` frames, in the order of the series, are read: first, last, middle, others that only the holder of `key` can tell.

    All of them up to `most`; a longer series gets half of what the square root of its count is above that in addition. The same key gives
    the same sample at each run. Raises `ValueError` for a negative count.
    """
    if count < 0:
        raise ValueError("A series cannot have fewer than no frames.")
    wanted = min(count, most + max(0, math.isqrt(count) - most) // 2)
    if wanted >= count:
        return tuple(range(count))
    chosen = {0, count // 2, count - 1}
    for number in sorted(range(count), key=lambda n: hmac.digest(key, n.to_bytes(8), hashlib.sha256)):
        if len(chosen) >= wanted:
            break
        chosen.add(number)
    return tuple(sorted(chosen))
