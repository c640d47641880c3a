"""The de-identification profile: from a DICOM data set to a new one that holds only what the allow-list names.

The Basic Application Level Confidentiality Profile of DICOM PS3.15 Annex E with the options Retain Longitudinal Temporal Information
Modified Dates, Clean Descriptors, Retain Device Identity, Retain Patient Characteristics and Retain Safe Private. Nothing is removed in
place: a new data set is built from what may survive, at every depth, so whatever is not understood is not there.

What Retain Device keeps is maker, model and software, never a serial number or a station. Of private attributes the b-values survive, written
as the standard's DiffusionBValue. Ages above 89 become 90. Pixels are taken over as they are: what is written in them is not the profile's
to judge (see `triage`).
"""

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
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

PROFILE: Final = "cohortlab-basic/1"
"""Name and version of this profile: counts up when what it leaves changes."""

METHOD: Final = f"Cohortlab profile 1, {rules.STANDARD} Annex E"
"""(0012,0063) of what it made."""

IMPLEMENTATION_UID: Final = "2.25.226905871209381574318029484270713927741"
STANDARD_ROOT: Final = "1.2.840.10008."
_CLASS = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1(?:\.[0-9]{1,3}){1,5}")  # newer classes than the library knows are fine
_ORIENTATION = re.compile(r"[LRAPHF]{1,3}|CC|MLO|ML|LM|XCC|XCCL|FB")  # CBIS-DDSM writes the mammographic view here
_OLDEST = 90
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


@dataclass(frozen=True)
class _Patient:
    """What is the same in all objects of one patient."""

    key: str
    banned: frozenset[str]


def identifiers_of(source: Dataset) -> frozenset[str]:
    """The words of a data set's own identifiers, at any depth: names, numbers, institution. They may stay in no text of it."""
    values: list[str] = []

    def walk(data_set: Dataset, depth: int) -> None:
        for tag in data_set.keys():  # noqa: SIM118  see Profile._data_set
            vr = data_set.get_item(tag).VR
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

    def apply(self, source: Dataset, *, claims: Iterable[str] = ()) -> tuple[Dataset, Removed]:
        """De-identify one data set; the source is not changed. `claims`: codes of CID 7050 about pixels that the source brings along.

        Raises `InvalidInputError` when it has no SOP Instance UID or nests too deep.
        """
        uid = str(source.get("SOPInstanceUID", "")).strip()
        if not uid:
            raise InvalidInputError("The object has no SOP Instance UID.")
        removed = Removed()
        key = str(source.get("PatientID", "") or "").strip() or str(source.get("StudyInstanceUID", "") or uid)
        result = self._data_set(source, _Patient(key, identifiers_of(source)), removed, 0)
        result.PatientID = result.PatientName = self._names.patient(key)
        self._values_from_private(source, result)
        self._declare(result, claims)
        self._file_meta(source, result)
        return result, removed

    def series_uid(self, uid: str) -> str:
        """The new UID of a series, as it will be in the store."""
        return self._names.uid(uid)

    def _data_set(self, source: Dataset, patient: _Patient, removed: Removed, depth: int) -> Dataset:
        if depth > MAX_DEPTH:
            raise InvalidInputError("The object nests sequences too deep.")
        result = Dataset()
        for tag in source.keys():  # noqa: SIM118  iterating over a data set would convert elements that are removed anyway
            rule = self._allowed.get(int(tag))
            if rule is None or (rule.top_only and depth) or rule.rule in {"code", "made"}:
                removed.add(BaseTag(tag))
                continue
            element = source[tag]
            if element.VR not in _vrs(int(tag)):
                removed.add(element)
                continue
            made = self._element(element, rule, source, patient, removed, depth)
            if made is None and rule.keyword == "SegmentLabel":  # must not be empty (PS3.3 C.8.20.4)
                made = DataElement(tag, "LO", "Segment")
            if made is None:
                removed.add(element)
            else:
                result.add(made)
        return result

    def _element(
        self, element: DataElement, rule: rules.Allowed, source: Dataset, patient: _Patient, removed: Removed, depth: int
    ) -> DataElement | None:
        """The element that takes the place of `element`, or None."""
        match rule.rule:
            case "pseudonym":
                value: Any = self._names.patient(patient.key)
            case "empty":
                value = ""
            case "pixels":
                return element
            case "items":
                items = [self._data_set(item, patient, removed, depth + 1) for item in element.value]
                value = Sequence([item for item in items if len(item)])
                if not value:
                    return None
            case "codes":
                value = self._codes(element.value, patient, removed, depth)
                if not value:
                    return None
            case "date":
                at = source.get(rule.keyword.removesuffix("Date") + "Time")
                value = _each(element.value, lambda v: shift_date(v, self._names.shift(patient.key), at if isinstance(at, str) else ""))
            case "time":
                value = _each(element.value, lambda v: shift_time(v, self._names.shift(patient.key)))
            case "datetime":
                value = _each(element.value, lambda v: shift_datetime(v, self._names.shift(patient.key)))
            case "uid":
                value = _each(element.value, lambda v: v if v.startswith(STANDARD_ROOT) and UID(v).name != v else self._names.uid(v))
            case "number" | "integer":
                return element if _numbers(element, rule) else None
            case _:
                value = _each(element.value, lambda v: _text(v, rule, patient.banned))
        if value is None:
            return None
        return DataElement(element.tag, element.VR, value)

    def _codes(self, items: Iterable[Dataset], patient: _Patient, removed: Removed, depth: int) -> Sequence:
        """Code items with their modifiers; what cannot be shown to be a code is left out."""
        kept = []
        for item in items:
            made = clean_code(item, patient.banned)
            if made is None:
                continue
            if depth < MAX_DEPTH:
                nested = Dataset()
                for tag in item.keys():  # noqa: SIM118  as above
                    rule = self._allowed.get(int(tag))
                    if (
                        rule is not None
                        and rule.rule == "codes"
                        and (modifiers := self._codes(item[tag].value, patient, removed, depth + 1))
                    ):
                        nested.add(DataElement(tag, "SQ", modifiers))
                made.update(nested)
            kept.append(made)
        return Sequence(kept)

    def _values_from_private(self, source: Dataset, result: Dataset) -> None:
        """Write down in the standard's own attributes what vendors say in private ones and readers need: b-values."""
        if "DiffusionBValue" not in result and result.get("Modality") == "MR":
            value = b_value(source)
            if value is not None:
                result.DiffusionBValue = value

    def _declare(self, result: Dataset, claims: Iterable[str]) -> None:
        """Say what was done (PS3.15 E.1.1): (0012,0062), (0012,0063), (0012,0064), (0028,0303)."""
        codes = sorted({*rules.OURS, *(c for c in claims if c in rules.PIXEL_CLAIMS)})
        result.PatientIdentityRemoved = "YES"
        result.DeidentificationMethod = METHOD
        result.DeidentificationMethodCodeSequence = Sequence([code_item(code, rules.CODES[code]) for code in codes])
        result.LongitudinalTemporalInformationModified = "MODIFIED"

    def _file_meta(self, source: Dataset, result: Dataset) -> None:
        """File meta information of our own: nothing of the source's but the transfer syntax and the SOP class."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = result.get("SOPClassUID", "")
        meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
        meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
        meta.ImplementationClassUID = IMPLEMENTATION_UID
        result.file_meta = meta
        result.preamble = b"\0" * 128


@cache
def _vrs(tag: int) -> tuple[str, ...]:
    """The value representations that PS3.6 gives to a tag; anything else in a file is no such attribute."""
    return tuple(dictionary_VR(tag).split(" or "))


def _each(value: Any, change: Any) -> Any:
    """`change` on each value; None when none is left. A value that does not survive among others becomes empty, to keep the others' places."""
    if value is None or value == "":
        return ""
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    changed = [change(str(v).strip()) or "" for v in values]
    if not any(changed):
        return None
    return changed if len(changed) > 1 else changed[0]


def _text(value: str, rule: rules.Allowed, banned: Collection[str]) -> str:
    """One text value under its rule; empty when it may not stay."""
    match rule.rule:
        case "text":
            return clean(value, banned)
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
