"""The de-identification profile: from a DICOM data set to a new one that holds only what the allow-list names.

The Basic Application Level Confidentiality Profile of DICOM PS3.15 Annex E with the options Retain Longitudinal Temporal Information
Modified Dates, Clean Descriptors, Retain Device Identity, Retain Patient Characteristics and Retain Safe Private. Nothing is removed in
place: a new data set is built from what may survive, at every depth, so whatever is not understood is not there.

What Retain Device keeps is maker, model and software, never a serial number or a station. Of private attributes the b-values survive,
written as the standard's DiffusionBValue. Ages above 89 become 90. Pixels are taken over as they are: what is written in them is not the
profile's to judge (see `triage`).
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from cohortlab.deidentify import rules
from cohortlab.deidentify.clean import clean, clean_term, identifying
from cohortlab.deidentify.codes import clean_code, code_item
from cohortlab.deidentify.dates import shift_date, shift_datetime, shift_time
from cohortlab.deidentify.private import b_value
from cohortlab.deidentify.pseudonyms import Pseudonyms
from cohortlab.errors import InvalidInputError

MAX_DEPTH: Final = 12
"""How deep sequences may nest; the deepest of the standard's objects stay below."""

PROFILE: Final = "cohortlab-basic/2"
"""Name and version of this profile: counts up when what it leaves changes."""

METHOD: Final = f"Cohortlab profile 2, {rules.STANDARD} Annex E"
"""(0012,0063) of what it made."""

IMPLEMENTATION_UID: Final = "2.25.226905871209381574318029484270713927741"
_WELL_KNOWN = re.compile(r"1\.2\.840\.10008\.1\.[45]\.")  # frames of reference and palettes of the standard (PS3.6 Tables)
_CLASS = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1(?:\.[0-9]{1,3}){1,5}")  # newer classes than the library knows are fine
_ORIENTATION = re.compile(r"[LRAPHF]{1,3}|CC|MLO|ML|LM|XCC|XCCL|FB")  # CBIS-DDSM writes the mammographic view here
_OLDEST = 90
_CACHED = frozenset(
    {"pseudonym", "empty", "enum", "age", "number", "integer", "uid", "class", "time", "datetime", "text", "term", "orientation"}
)
_LONGEST_CACHED, _MOST_CACHED = 256, 100_000
_IDENTIFIERS = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "AccessionNumber",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "NameOfPhysiciansReadingStudy", "RequestingPhysician",
    "InstitutionName", "InstitutionAddress", "StationName", "PatientAddress", "StudyID", "ResponsiblePerson", "MilitaryRank",
    "PhysiciansOfRecord", "ConsultingPhysicianName", "ContentCreatorName", "CurrentPatientLocation", "CountryOfResidence",
)  # fmt: skip

_IDENTIFYING_TAGS = frozenset(tag_for_keyword(keyword) for keyword in _IDENTIFIERS)


@dataclass
class Removed:
    """Tags that did not survive, as keywords or numbers, and how often. Never values."""

    tags: dict[str, int] = field(default_factory=dict)

    def add(self, element: DataElement | BaseTag) -> None:
        """Count one."""
        tag = element if isinstance(element, BaseTag) else element.tag
        name = "private attributes" if tag.is_private else keyword_for_tag(tag) or str(tag)
        self.tags[name] = self.tags.get(name, 0) + 1


def identifiers_of(source: Dataset) -> frozenset[str]:
    """The words of a data set's own identifiers, at any depth: names, numbers, institution. They may stay in no text of it."""
    values: list[str] = []

    def walk(data_set: Dataset, depth: int) -> None:
        for tag, element in list(data_set.items()):
            vr = element.VR or data_set[tag].VR  # implicit VR: known after conversion only
            if vr == "SQ" and depth < MAX_DEPTH:
                for item in data_set[tag].value:
                    walk(item, depth + 1)
            elif vr == "PN" or int(tag) in _IDENTIFYING_TAGS:
                value = data_set[tag].value
                values.extend(str(v) for v in (value if isinstance(value, MultiValue) else [value]) if v)

    walk(source, 0)
    return identifying(values)


class Profile:
    """The engine for one dataset. The same secret and dataset id give the same pseudonyms at each run."""

    def __init__(self, pseudonyms: Pseudonyms, options: frozenset[rules.Option] = rules.OPTIONS) -> None:
        self._names = pseudonyms
        self._allowed = rules.surviving(options)
        self._cache: dict[Any, DataElement | None] = {}
        self._cache_of: object = None

    def apply(self, source: Dataset, *, claims: Iterable[str] = ()) -> tuple[Dataset, Removed]:
        """De-identify one data set; the source is not changed. `claims`: codes of CID 7050 about pixels that the source brings along.

        Raises `InvalidInputError` when it has no SOP Instance UID or nests too deep.
        """
        uid = str(source.get("SOPInstanceUID", "")).strip()
        if not uid:
            raise InvalidInputError("The object has no SOP Instance UID.")
        key = str(source.get("PatientID", "") or "").strip() or str(source.get("StudyInstanceUID", "") or uid)
        banned = identifiers_of(source)
        cache_of = (key, banned, str(source.get("SpecificCharacterSet")))
        if cache_of != self._cache_of or len(self._cache) > _MOST_CACHED:
            self._cache, self._cache_of = {}, cache_of
        once = _Pass(self._names, self._allowed, key, banned, self._cache)
        result = once.data_set(source, 0)
        result.PatientID = result.PatientName = self._names.patient(key)
        _values_from_private(source, result)
        _declare(result, claims)
        _file_meta(source, result)
        return result, once.removed

    def series_uid(self, uid: str) -> str:
        """The new UID of a series, as it will be in the store."""
        return self._names.uid(uid)


class _Pass:
    """One object on its way through the profile."""

    def __init__(
        self,
        names: Pseudonyms,
        allowed: dict[int, rules.Allowed],
        patient: str,
        banned: frozenset[str],
        cache: dict[Any, DataElement | None],
    ) -> None:
        self._names, self._allowed, self._patient, self._banned, self._cache = names, allowed, patient, banned, cache
        self._shift = names.shift(patient)
        self.removed = Removed()

    def data_set(self, source: Dataset, depth: int) -> Dataset:
        """A new data set of what may survive of `source`."""
        if depth > MAX_DEPTH:
            raise InvalidInputError("The object nests sequences too deep.")
        result: dict[BaseTag, DataElement | RawDataElement] = {}
        for tag, raw in source.items():  # iterating over a data set would convert elements that are removed anyway
            rule = self._allowed.get(int(tag))  # a BaseTag compares slowly
            made = None
            if rule is not None and not (rule.top_only and depth) and rule.rule not in {"code", "made"}:
                made = self._survivor(source, tag, raw, rule, depth)
                if made is None and rule.keyword == "SegmentLabel":  # must not be empty (PS3.3 C.8.20.4)
                    made = DataElement(tag, "LO", "Segment")
            if made is None:
                self.removed.add(tag)
            else:
                result[tag] = made
        return Dataset(result)

    def _survivor(self, source: Dataset, tag: BaseTag, raw: Any, rule: rules.Allowed, depth: int) -> DataElement | None:
        """What takes the place of an element. The slices of a series say mostly the same: what was said before is not worked out again.

        raw: the element, not converted while nobody asked for its value.
        """
        key = None
        if isinstance(raw, RawDataElement) and rule.rule in _CACHED and raw.value is not None and len(raw.value) <= _LONGEST_CACHED:
            key = (int(tag), raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian)
            if key in self._cache:
                return self._cache[key]
        element = source[tag]
        made = self._element(element, rule, source, depth) if element.VR in _vrs(int(tag)) else None
        if key is not None:
            self._cache[key] = made
        return made

    def _element(self, element: DataElement, rule: rules.Allowed, source: Dataset, depth: int) -> DataElement | None:
        """The element that takes the place of `element`, or None."""
        if rule.rule == "pixels" or (rule.rule in {"number", "integer"} and _numbers(element, rule)):
            return element
        if rule.rule in {"items", "codes"}:
            make = self._items if rule.rule == "items" else self._codes
            sequence = make(element.value, depth)
            return DataElement(element.tag, "SQ", sequence) if sequence else None
        at = ""
        if rule.rule == "date":
            at = str(source.get(rule.keyword.removesuffix("Date") + "Time") or "")
        value = "" if rule.rule == "empty" else _each(element.value, lambda text: self._value(text, rule, at))
        return None if value is None else DataElement(element.tag, element.VR, value)

    def _value(self, text: str, rule: rules.Allowed, at: str) -> str | None:  # noqa: PLR0911  one answer a rule
        """One value under its rule; None or empty when it may not stay. `at`: the time that belongs to a date."""
        match rule.rule:
            case "pseudonym":
                return self._names.patient(self._patient)
            case "uid":
                return text if _WELL_KNOWN.match(text) and UID(text).name != text else self._names.uid(text)
            case "date":
                return shift_date(text, self._shift, at)
            case "time":
                return shift_time(text, self._shift)
            case "datetime":
                return shift_datetime(text, self._shift)
            case "text":
                return clean(text, self._banned)
            case "number" | "integer":
                return None
            case _:
                return _term(text, rule)

    def _items(self, items: Iterable[Dataset], depth: int) -> Sequence:
        """The items of a sequence that have something left."""
        made = (self.data_set(item, depth + 1) for item in items)
        return Sequence([item for item in made if len(item)])

    def _codes(self, items: Iterable[Dataset], depth: int) -> Sequence:
        """Code items with their modifiers; what cannot be shown to be a code is left out."""
        if depth > MAX_DEPTH:
            raise InvalidInputError("The object nests sequences too deep.")
        kept = []
        for item in items:
            made = clean_code(item, self._banned)
            if made is None:
                continue
            for tag in item.keys():  # noqa: SIM118  as above, only some are converted
                rule = self._allowed.get(int(tag))
                if (
                    rule is not None
                    and rule.rule == "codes"
                    and item[tag].VR == "SQ"
                    and (modifiers := self._codes(item[tag].value, depth + 1))
                ):
                    made.add(DataElement(tag, "SQ", modifiers))
            kept.append(made)
        return Sequence(kept)


def _values_from_private(source: Dataset, result: Dataset) -> None:
    """Write down in the standard's own attributes what vendors say in private ones and readers need: b-values."""
    if "DiffusionBValue" not in result and result.get("Modality") == "MR":
        value = b_value(source)
        if value is not None:
            result.DiffusionBValue = value


def _declare(result: Dataset, claims: Iterable[str]) -> None:
    """Say what was done (PS3.15 E.1.1): (0012,0062), (0012,0063), (0012,0064), (0028,0303)."""
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = METHOD
    result.DeidentificationMethodCodeSequence = Sequence(_method_codes(frozenset(claims).intersection(rules.PIXEL_CLAIMS)))
    result.LongitudinalTemporalInformationModified = "MODIFIED"


@cache
def _method_codes(pixels: frozenset[str]) -> tuple[Dataset, ...]:
    """The items that say what was done, `pixels` to the pixels: made once, for they are the same in all objects."""
    return tuple(code_item(code, rules.CODES[code]) for code in sorted({*rules.OURS, *pixels}))


def _file_meta(source: Dataset, result: Dataset) -> None:
    """File meta information of our own: nothing of the source's but the transfer syntax and the SOP class."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    result.file_meta = meta
    result.preamble = b"\0" * 128


@cache
def _vrs(tag: int) -> tuple[str, ...]:
    """The value representations that PS3.6 gives to a tag, undecided ones included; anything else in a file is no such attribute."""
    listed = dictionary_VR(tag)
    return (*listed.split(" or "), listed)


def _each(value: Any, change: Callable[[str], str | None]) -> Any:
    """`change` on each value; None when nothing is left. A lost value among others becomes empty, so that the others keep their places."""
    if value is None or value == "":
        return ""
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    changed = [change(str(v).strip()) or "" for v in values]
    if not any(changed):
        return None
    return changed if len(changed) > 1 else changed[0]


def _term(value: str, rule: rules.Allowed) -> str:
    """A value of a closed vocabulary; empty when it may not stay."""
    match rule.rule:
        case "term":
            return clean_term(value)
        case "enum":
            return value if value in rule.values else ""
        case "class":
            return value if _CLASS.fullmatch(value) else ""
        case "age":
            return _age(value)
        case "orientation":
            return value if _ORIENTATION.fullmatch(value) else ""
        case _:
            raise ValueError(f"allowed.csv: rule {rule.rule} is not for {rule.keyword}")


def _age(value: str) -> str:
    """An AS value; 90 years and more become ``090Y``, for few people are that old."""
    if len(value) != 4 or not value[:3].isdigit() or value[3] not in "DWMY":  # noqa: PLR2004  nnnD, nnnW, nnnM, nnnY (PS3.5 6.2)
        return ""
    years = int(value[:3]) * {"D": 1 / 365, "W": 7 / 365, "M": 1 / 12, "Y": 1}[value[3]]
    return "090Y" if years >= _OLDEST else value


def _numbers(element: DataElement, rule: rules.Allowed) -> bool:
    """Whether an element holds numbers only, in the rule's bounds. Binary tables (OW) are numbers by their kind."""
    if element.VR in {"OW", "OB", "US or OW", "AT"}:
        return True
    values = element.value
    if values is None or values == "":
        return True
    try:
        numbers = [float(v) for v in (values if isinstance(values, MultiValue | list) else [values])]
    except (TypeError, ValueError):
        return False
    return all(math.isfinite(n) and rule.low <= n <= rule.high for n in numbers)
