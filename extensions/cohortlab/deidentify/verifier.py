"""The independent verifier: proves that a data set holds only what an anonymised one may hold, or says why it does not.

It shares no code and no list with the profile. What may be there is written in `verifier.toml` and `verifier_words.txt`; every element
must be in them at its depth, every text must be one of a few words, match a form, or consist of known words and short numbers. What
cannot be shown to be harmless is refused. Findings name tags and reasons, never values.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr._concepts_dict import concepts
from pydicom.tag import BaseTag

from cohortlab.deidentify.report import Finding, Reason
from cohortlab.store.deferred import PixelFile

VERIFIER: Final = "cohortlab-verifier/2"
"""Name and version of this verifier: counts up when what it accepts changes."""

_CONTEXT_7050: Final = frozenset(f"1131{n:02d}" for n in range(13))
_MUST: Final = "113100"
_DEPTH: Final = 14
_LONGEST: Final = 64
_NUMBER: Final = re.compile(r"[ ]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?[ ]*")
_DATE: Final = re.compile(r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:[0-5][0-9](?:\.[0-9]{1,6})?)?)?")
_INSTANCE: Final = re.compile(r"2\.25\.[1-9][0-9]{0,38}")
_WELL_KNOWN: Final = re.compile(r"1\.2\.840\.10008\.1\.[45](?:\.[0-9]{1,3}){1,3}")
_CLASS: Final = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1(?:\.[0-9]{1,3}){1,5}")
_TRANSFER_SYNTAX: Final = re.compile(r"1\.2\.840\.10008\.1\.2(?:\.[0-9]{1,3}){0,3}")
_SEPARATORS: Final = re.compile(r"[ _\-/+.,*()]*")
_CALENDAR: Final = re.compile(
    r"(?<![0-9])(?:[0-9]{1,2}[./\- ][0-9]{1,2}[./\- ](?:19|20)?[0-9]{2}|(?:19|20)[0-9]{2}[./\- ][0-9]{1,2}[./\- ][0-9]{1,2})(?![0-9])"
)
_TABLE_BYTES: Final = 2 * 65_536
_RUN, _DIGITS = 4, 12  # longest run of digits in a text, most digits in all
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_NATIVE: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", _BIG_ENDIAN, "1.2.840.10008.1.2.1.99"})
_LIKELY_FRAME, _RATIO, _FRAGMENT = 2**26, 1000, 10  # bytes; of a frame above the first, bytes a compressed byte; least bytes of a fragment
_BLOCK: Final = 1 << 24  # bytes of pixels looked at once; whole values of any kind
_META: Final = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012})
_CODE_ITEM: Final = frozenset({0x00080100, 0x00080102, 0x00080104})  # CodeValue, CodingSchemeDesignator, CodeMeaning
_CODE_FORMS: Final[dict[str, str]] = {
    "DCM": r"[0-9]{6}",
    "SCT": r"[1-9][0-9]{5,17}",
    "SRT": r"[A-Z]-[0-9A-F]{4,6}",
    "SNM3": r"[A-Z]-[0-9A-F]{4,6}",
    "UCUM": r"\{SUV(?:bw|lbm|bsa|ibw)\}(?:g|cm2)/ml",
    "NCIt": r"C[0-9]{3,6}",
    "RADLEX": r"RID[0-9]{1,6}",
    "FMA": r"[1-9][0-9]{3,5}",
    "LN": r"[0-9]{1,6}-[0-9]",
    "UMLS": r"C[0-9]{7}",
    "IBSI": r"[0-9A-Z]{4}",
    "MDC": r"[0-9]{1,2}:[0-9]{1,5}",
    "NEU": r"[0-9]{1,4}(?:\.[0-9]{1,3}){0,3}",
}
"""Form of the values of a scheme, for concepts that PS3.16 does not list: nothing that could be a name or a record number."""

_DIHEDRAL: Final = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
                    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210")  # fmt: skip
_TURNS: Final = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")
_CONCEPT: Final = frozenset({"00", "10"})  # partition of a SNOMED CT identifier that is a concept's, its check digit left out

STORABLE: Final = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in (
        "2", "2.1", "2.2", "4", "4.1", "4.3", "4.4", "128", "128.1", "130",  # CT, MR, PET and their enhanced forms
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "13.1.3", "13.1.4", "13.1.5",  # CR, DX, mammography, tomosynthesis
        "3.1", "6.1", "7", "7.2", "7.3", "7.4", "20", "66.4", "66.7",  # ultrasound, secondary capture, nuclear medicine, segmentation
        "77.1.6", "481.3",  # whole slides, structure sets
    )
)  # fmt: skip
"""SOP classes (PS3.4 B.5) that a store may hold. What is written on a picture is another matter: see `triage`."""


@dataclass(frozen=True)
class _Lists:
    """`kinds`: keyword -> how its value is judged. `study`: keywords for the data set itself only."""

    kinds: dict[str, str]
    study: frozenset[str]
    enumerated: dict[str, frozenset[str]]
    patterns: dict[str, re.Pattern[str]]
    words: frozenset[str]


@cache
def _lists() -> _Lists:
    here = files(__package__)
    rules = tomllib.loads(here.joinpath("verifier.toml").read_text(encoding="utf-8"))
    kinds: dict[str, str] = {}
    for place in ("study", "anywhere"):
        for kind, keywords in rules[place].items():
            kinds.update(dict.fromkeys(keywords.split(), kind))
    study = frozenset(keyword for keywords in rules["study"].values() for keyword in keywords.split())
    lines = here.joinpath("verifier_words.txt").read_text(encoding="utf-8").splitlines()
    words = frozenset(word for line in lines if not line.startswith("#") for word in line.split())
    enumerated = {keyword: frozenset(values) for keyword, values in rules["enumerated"].items()}
    return _Lists(kinds, study, enumerated, {k: re.compile(v) for k, v in rules["pattern"].items()}, words)


_ONCE: Final = frozenset(
    {"PatientName", "PatientID", "PatientAge", "PatientSex", "PatientIdentityRemoved", "DeidentificationMethod", "PatientOrientation",
     "BurnedInAnnotation", "RecognizableVisualFeatures", "LongitudinalTemporalInformationModified", "DeidentificationMethodCodeSequence"}
)  # fmt: skip


_NUMBERS_OF_PERSONS: Final = frozenset({0x00100020, 0x00101000, 0x00080050})  # PatientID, OtherPatientIDs, AccessionNumber


@dataclass(frozen=True)
class _Case:
    """What is known while one data set is judged."""

    names: frozenset[str]
    codes: frozenset[str]
    dated: bool


def names_in(source: Dataset) -> frozenset[str]:
    """The patient's own words in the source: of person names, and of the identifiers at the top. They may stand in no text."""
    found: set[str] = set()

    def collect(data_set: Dataset, depth: int) -> None:
        for tag, element in list(data_set.items()):
            vr = element.VR or data_set[tag].VR
            if vr == "SQ" and depth < _DEPTH:
                for item in data_set[tag].value:
                    collect(item, depth + 1)
            elif vr == "PN" or (not depth and int(tag) in _NUMBERS_OF_PERSONS):
                for value in strings(data_set[tag].value):
                    found.update(re.findall(r"[^\W_]{3,}", value.casefold()))

    collect(source, 0)
    return frozenset(found)


class _Values:
    """The elements of a data set by their tags' numbers: pydicom's own look-up by keyword takes most of the time of a check."""

    def __init__(self, data_set: Dataset) -> None:
        self.elements: dict[int, DataElement] = {
            int(tag): data_set[tag] if isinstance(element, RawDataElement) else element for tag, element in list(data_set.items())
        }

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value of an attribute."""
        element = self.elements.get(_tag(keyword))
        return default if element is None else element.value

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self.elements


@cache
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no attribute of PS3.6")
    return tag


def verify(data_set: Dataset, names: Iterable[str] = ()) -> list[Finding]:
    """Why a data set may not go into a store; empty when it is proven that it may.

    names: words of the patient's own identifiers before de-identification (see `names_in`).
    """
    values = _Values(data_set)
    return _findings([*_header(values, frozenset(names)), *_file(data_set, values)])


def verify_header(data_set: Dataset) -> list[Finding]:
    """As `verify`, of what is left of an object in a store's header sidecar: no pixels, no file meta information."""
    return _findings(_header(_Values(data_set), frozenset()))


def _header(values: _Values, names: frozenset[str]) -> Iterator[tuple[Reason, str]]:
    codes = _method_codes(values)
    dated = values.get("LongitudinalTemporalInformationModified") == "MODIFIED" and bool(codes & {"113106", "113107"})
    yield from _claims(values, codes)
    yield from _items(values, _Case(names, codes, dated), 0)


def _findings(wrong: Iterable[tuple[Reason, str]]) -> list[Finding]:
    """One finding for each reason, with its tags."""
    found = dict.fromkeys(wrong)
    reasons = dict.fromkeys(reason for reason, _ in found)
    return [Finding(reason=r, tags=tuple(sorted({tag for reason, tag in found if reason == r and tag}))) for r in reasons]


def is_known_uid(text: str) -> bool:
    """Whether a UID is one of ours, or one that the standard gives to a class, a transfer syntax or a frame of reference."""
    return _is_ours(text) or any(form.fullmatch(text) for form in (_WELL_KNOWN, _CLASS, _TRANSFER_SYNTAX))


def _method_codes(values: _Values) -> frozenset[str]:
    items = values.get("DeidentificationMethodCodeSequence") or []
    return frozenset(str(item.get("CodeValue", "")) for item in items if item.get("CodingSchemeDesignator") == "DCM")


def _claims(values: _Values, codes: frozenset[str]) -> Iterator[tuple[Reason, str]]:
    """PS3.15 E.1.1: the object must say that it is de-identified, and how."""
    if values.get("PatientIdentityRemoved") != "YES":
        yield Reason.CODES_MISSING, "PatientIdentityRemoved"
    if _MUST not in codes or not codes <= _CONTEXT_7050:
        yield Reason.CODES_MISSING, "DeidentificationMethodCodeSequence"
    if not values.get("DeidentificationMethod"):
        yield Reason.CODES_MISSING, "DeidentificationMethod"
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"):
        if not values.get(keyword):
            yield Reason.VALUE_NOT_ALLOWED, keyword
    if values.get("SOPClassUID") not in STORABLE:
        yield Reason.SOP_CLASS, "SOPClassUID"


def _file(data_set: Dataset, values: _Values) -> Iterator[tuple[Reason, str]]:
    """Preamble, file meta information (PS3.10 7.1) and the length of native pixel data."""
    if any(getattr(data_set, "preamble", None) or b""):
        yield Reason.ELEMENT_NOT_ALLOWED, "file preamble"
    meta = _Values(getattr(data_set, "file_meta", None) or Dataset())
    for number in meta.elements:
        if number not in _META:
            yield Reason.ELEMENT_NOT_ALLOWED, str(BaseTag(number))
    if not _TRANSFER_SYNTAX.fullmatch(str(meta.get("TransferSyntaxUID", ""))):
        yield Reason.VALUE_NOT_ALLOWED, "TransferSyntaxUID"
    if meta.get("MediaStorageSOPInstanceUID", values.get("SOPInstanceUID")) != values.get("SOPInstanceUID"):
        yield Reason.UID_NOT_OURS, "MediaStorageSOPInstanceUID"
    if meta.get("MediaStorageSOPClassUID", values.get("SOPClassUID")) != values.get("SOPClassUID"):
        yield Reason.SOP_CLASS, "MediaStorageSOPClassUID"
    if not _INSTANCE.fullmatch(str(meta.get("ImplementationClassUID", "2.25.1"))):
        yield Reason.UID_NOT_OURS, "ImplementationClassUID"
    yield from _pixel_length(values, str(meta.get("TransferSyntaxUID", "")))


def _pixel_length(values: _Values, syntax: str) -> Iterator[tuple[Reason, str]]:
    """Pixel data are as long as rows, columns, samples, frames and bits say, padded to an even length: nothing hides behind them.

    Of compressed pixels, a frame is at least one fragment, and does not unpack to more than an image can.
    """
    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in values), None)
    if keyword is None:
        return
    try:
        frames = int(values.get("NumberOfFrames") or 1)
        samples = int(values.get("Rows")) * int(values.get("Columns")) * int(values.get("SamplesPerPixel", 1))
        bits = int(values.get("BitsAllocated"))
    except (AttributeError, TypeError, ValueError, OverflowError):
        yield Reason.VALUE_NOT_ALLOWED, "Rows"
        return
    if min(frames, samples, bits) < 1:
        yield Reason.VALUE_NOT_ALLOWED, "Rows"
        return
    length = len(values.get(keyword) or b"")
    if syntax not in _NATIVE:
        if samples * bits // 8 > max(_LIKELY_FRAME, _RATIO * length):
            yield Reason.TOO_LARGE, "Rows"
        if frames > max(1, length // _FRAGMENT):
            yield Reason.TRUNCATED, keyword
    else:
        if values.get("PhotometricInterpretation") == "YBR_FULL_422":
            samples = samples * 2 // 3
        wanted = (frames * samples * bits + 7) // 8
        reason = Reason.TRAILING_DATA if length > wanted + wanted % 2 else Reason.TRUNCATED if length < wanted else None
        if reason is None and keyword == "PixelData" and _hides_bits(values, syntax == _BIG_ENDIAN):
            reason = Reason.HIDDEN_BITS
        if reason is not None:
            yield reason, keyword


def _hides_bits(values: _Values, big_endian: bool) -> bool:
    """Whether bits outside of BitsStored hold something other than the sign (PS3.5 8.1.1): old overlays lay there, and so may anything."""
    allocated, stored, high = (int(values.get(k) or 0) for k in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated not in {8, 16, 32} or stored >= allocated:
        return False
    if not 0 < stored <= high + 1 <= allocated:
        return True
    kind = np.dtype(f"u{allocated // 8}").newbyteorder(">" if big_endian else "<")
    below, above = (1 << (high + 1 - stored)) - 1, (1 << allocated) - (1 << (high + 1))
    for numbers in (np.frombuffer(block, kind, count=len(block) // kind.itemsize) for block in _blocks(values.get("PixelData"))):
        spare = np.bitwise_and(numbers, kind.type(below | above))
        if not spare.any():
            continue
        if not values.get("PixelRepresentation"):
            return True
        negative = np.bitwise_and(numbers, kind.type(1 << high)) != 0
        if (spare[negative] != above).any() or spare[~negative].any():
            return True
    return False


def _blocks(pixels: bytes | PixelFile) -> Iterator[bytes]:
    """Pixel data in pieces of whole values, so that those of a file of gigabytes are never all in memory."""
    if isinstance(pixels, bytes):
        yield pixels
        return
    pixels.seek(0)
    while block := pixels.read(_BLOCK):
        yield block
    pixels.seek(0)


@cache
def _facts(number: int) -> tuple[str, frozenset[str], bool]:
    """Of a tag: keyword, empty when it may not be there at all; value representations; whether only the data set itself may have it."""
    lists, tag = _lists(), BaseTag(number)
    keyword = "" if tag.is_private else keyword_for_tag(tag)
    known = (
        keyword in lists.kinds
        or keyword in lists.enumerated
        or keyword in lists.patterns
        or keyword == "DeidentificationMethodCodeSequence"
    )
    if not keyword or not known:
        return "", frozenset(), False
    listed = dictionary_VR(tag)
    return keyword, frozenset({listed, *listed.split(" or ")}), keyword in lists.study or keyword in _ONCE


def _items(values: _Values, case: _Case, depth: int) -> Iterator[tuple[Reason, str]]:
    """Every element of a data set and of what is nested in it."""
    for number, element in values.elements.items():
        keyword, vrs, top_only = _facts(number)
        if not keyword or (depth and top_only) or depth > _DEPTH:
            yield Reason.ELEMENT_NOT_ALLOWED, element.keyword or str(element.tag)
        elif element.VR not in vrs:
            yield Reason.VALUE_NOT_ALLOWED, keyword
        else:
            yield from _element(element, keyword, case, depth)


def _element(element: DataElement, keyword: str, case: _Case, depth: int) -> Iterator[tuple[Reason, str]]:
    """One element that may be where it is: what is wrong with its value."""
    lists = _lists()
    kind = lists.kinds.get(keyword, "codes")
    if keyword in lists.enumerated:
        wrong = not all(v in lists.enumerated[keyword] for v in strings(element.value) if v)
    elif keyword in lists.patterns:
        wrong = not all(lists.patterns[keyword].fullmatch(v) for v in _filled(element))
    elif kind == "sequences":
        for item in element.value:
            yield from _items(_Values(item), case, depth + 1)
        return
    elif kind == "codes":
        for item in element.value:
            yield from _code(item, keyword, case)
        return
    elif kind == "words":
        yield from _text(element.value, keyword, frozenset() if element.VR == "CS" else case.names)
        return
    else:
        if kind == "dates" and any(strings(element.value)) and not case.dated:
            yield Reason.DATES_NOT_CLAIMED, keyword
        wrong = not _FITS[kind](element)
    if wrong:
        yield {"instances": Reason.UID_NOT_OURS, "classes": Reason.SOP_CLASS}.get(kind, Reason.VALUE_NOT_ALLOWED), keyword


def _filled(element: DataElement) -> list[str]:
    return [value for value in strings(element.value) if value]


def _is_table(element: DataElement) -> bool:
    """A look-up table: numbers, or no more bytes than one of 16 bits has."""
    value = element.value
    return value is None or isinstance(value, int | list | MultiValue) or (isinstance(value, bytes) and len(value) <= _TABLE_BYTES)


def _code(item: Dataset, keyword: str, case: _Case) -> Iterator[tuple[Reason, str]]:
    """A coded concept: value in the form of its scheme, meaning of known words; modifiers are concepts again."""
    values = _Values(item)
    for number, element in values.elements.items():
        if number in _CODE_ITEM:
            continue
        if element.VR == "SQ" and _lists().kinds.get(element.keyword) == "codes":
            for inner in element.value:
                yield from _code(inner, element.keyword, case)
        else:
            yield Reason.ELEMENT_NOT_ALLOWED, element.keyword or str(element.tag)
    if not _is_concept(*(str(values.get(k, "")) for k in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))):
        yield Reason.VALUE_NOT_ALLOWED, keyword


@lru_cache(maxsize=65_536)
def _is_concept(scheme: str, value: str, meaning: str) -> bool:
    """Whether a value has the form of its scheme and its meaning consists of known words."""
    form = _CODE_FORMS.get(scheme)
    formed = form is not None and re.fullmatch(form, value) is not None and (scheme != "SCT" or _is_snomed(value))
    if not formed and (scheme, value) not in _concepts():
        return False
    runs = re.findall(r"[^\W\d_]+", meaning.lower())
    return meaning == value or (
        len(meaning) <= _LONGEST
        and all(run in _meanings() or run in _lists().words for run in runs)
        and sum(map(str.isdigit, meaning)) <= _DIGITS
    )


def _is_snomed(digits: str) -> bool:
    """Whether digits are an identifier of a SNOMED CT concept: its partition, and its check digit after Verhoeff."""
    check = "0"
    for place, digit in enumerate(reversed(digits)):
        check = _DIHEDRAL[int(check)][int(_TURNS[place % 8][int(digit)])]
    return check == "0" and digits[-3:-1] in _CONCEPT


@cache
def _concepts() -> frozenset[tuple[str, str]]:
    """Scheme and value of the concepts of PS3.16."""
    tables: dict[str, dict[str, dict[str, object]]] = concepts  # type: ignore[assignment]  # pydicom says object
    return frozenset((scheme, value) for scheme, by_keyword in tables.items() for values in by_keyword.values() for value in values)


@cache
def _meanings() -> frozenset[str]:
    """The words of the standard's coded meanings (PS3.16)."""
    tables: dict[str, dict[str, dict[str, tuple[str, list[int]]]]] = concepts  # type: ignore[assignment]  # pydicom says object
    texts = (names[0] for by_keyword in tables.values() for values in by_keyword.values() for names in values.values())
    return frozenset(run for text in texts for run in re.findall(r"[a-z]+", text.lower()))


def strings(value: Any) -> list[str]:
    """The values of an element, each as text."""
    if value is None:
        return [""]
    return [str(v) for v in value] if isinstance(value, MultiValue | list | tuple) else [str(value)]


def _is_ours(uid: str) -> bool:
    """A UID made from a UUID that was drawn or hashed (RFC 9562 versions 3, 4, 5 and 8): such a one tells neither machine nor time."""
    if not _INSTANCE.fullmatch(uid):
        return False
    number = int(uid[5:])
    return number < 2**128 and (number >> 76) & 0xF in {3, 4, 5, 8} and (number >> 62) & 0b11 == 0b10  # noqa: PLR2004  bits of the version and the variant


def _is_date(text: str, vr: str) -> bool:
    if vr == "DA":
        return bool(_DATE.fullmatch(text))
    if vr == "TM":
        return bool(_TIME.fullmatch(text.strip()))
    return bool(_DATE.fullmatch(text[:8]) and (len(text) == 8 or _TIME.fullmatch(text[8:])))  # noqa: PLR2004  YYYYMMDD, then the time; no offset from UTC


def _is_number(element: DataElement) -> bool:
    if element.VR in {"DS", "IS"}:
        return all(_NUMBER.fullmatch(v) for v in strings(element.value) if v)
    if set(element.VR.split(" or ")) <= {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"}:
        return not isinstance(element.value, str)
    return False


_FITS: Final[dict[str, Callable[[DataElement], bool]]] = {
    "blank": lambda e: not _filled(e),
    "dates": lambda e: all(_is_date(v, e.VR) for v in _filled(e)),
    "instances": lambda e: all(_is_ours(v) or _WELL_KNOWN.fullmatch(v) for v in _filled(e)),
    "classes": lambda e: all(_CLASS.fullmatch(v) for v in _filled(e)),
    "numbers": _is_number,
    "tables": _is_table,
    "pixels": lambda e: isinstance(e.value, bytes | PixelFile),
}
"""How the value of an element is judged, by its kind in `verifier.toml`."""


@lru_cache(maxsize=65_536)
def _harmless(text: str) -> tuple[bool, frozenset[str]]:
    """Whether a text is known words, short numbers and plain separators, with nothing like a date in it; and its words."""
    runs = re.findall(r"[A-Za-z]+|[0-9]+", text)
    digits = [run for run in runs if run.isdigit()]
    fine = (
        len(text) <= _LONGEST
        and _SEPARATORS.fullmatch(re.sub(r"[A-Za-z0-9]+", "", text)) is not None
        and all(run.isdigit() or run.lower() in _lists().words for run in runs)
        and all(len(run) <= _RUN for run in digits)
        and sum(map(len, digits)) <= _DIGITS
        and not _CALENDAR.search(text)
    )
    return fine, frozenset({*re.findall(r"[^\W_]+", text.lower()), *(run.lower() for run in runs)})


def _text(value: Any, keyword: str, names: frozenset[str]) -> Iterator[tuple[Reason, str]]:
    """A description must be harmless and hold no word of the patient's own names."""
    for text in strings(value):
        fine, words = _harmless(text)
        if not fine:
            yield Reason.VALUE_NOT_ALLOWED, keyword
        if names & words:
            yield Reason.IDENTIFIER_LEFT, keyword
