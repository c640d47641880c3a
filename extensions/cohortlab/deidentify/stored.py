"""What a store says beside its pixels, judged again when it is verified: nothing was brought in after the gate had looked.

The header sidecar of a series holds its instances' headers, which the verifier has to accept as it did when they came. Whatever text the
series' attributes and the catalogue hold must be said by those headers, or be one of the few words that the store says by itself.
"""

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydicom.dataset import Dataset

from cohortlab.deidentify import files, verifier, writing

_PARSE_ERRORS: Final = (*files.READ_ERRORS, LookupError, UserWarning)  # of DICOM JSON that is none; a warning: it refers to data elsewhere
_UIDS: Final = ("sop_class_uid", "sop_instance_uid", "transfer_syntax_uid")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SERIES: Final = re.compile(r"[a-z0-9]{1,16}-[0-9a-f]{12}(?:-[0-9a-z]{1,16})?")
_NUMBERED: Final = re.compile(r"(?:segment|ROI) [0-9]{1,8}|scale[0-9]{1,2}")
_WAYS: Final = (
    *(value for name, value in vars(writing).items() if name.isupper() and isinstance(value, str)),
    "plain slices: headers only, not read for text",  # until gate 1
)
_RECORD: Final = {
    "method": re.compile(r"Cohortlab profile [0-9]{1,3}, DICOM PS3\.15 20[0-9]{2}[a-e] Annex E"),
    "profile": re.compile(r"cohortlab-basic/[0-9]{1,3}"),
    "verifier": re.compile(r"cohortlab-verifier/[0-9]{1,3}"),
    "codes": re.compile(r"1131(?:0[0-9]|1[0-2])"),
    "source": re.compile(r"de-identified before, and again here|identified; de-identified here"),
    "pixels": re.compile("|".join(map(re.escape, _WAYS))),
}
"""The record of a series' de-identification, as the gate writes it."""

_OWN_TEXT: Final = """image segmentation patient slide t c z y x red green blue jpeg array RGB HU mm s ms s/mm2 int8 uint8 int16 uint16
int32 uint32 int64 uint64 float32 float64 bool PROBABILITY OCCUPANCY b_value echo_time time temporal_position segment channel acquisition
optical_path"""
_OWN: Final = frozenset(_OWN_TEXT.split())
"""Words that the store itself puts into a series' attributes."""

_REASON_TEXT: Final = """a acquisition acquisitiondate acquisitiontime actualframeduration admin administration after agree and another are
at attn before body bqml by changes cm cnts cps correctedimage correction day decay decaycorrection decy do does drift duplicates else
exactly first frames framereferencetime from g gap gaps given gml has hold in is it its lacks last lie missing mixed ml mlg mlming mlml
mlminml mm mgminml moment more neither no none nor not of on one or orientation orientations other patient patientweight pcnt pixel place
position propcnts propcps radionuclidehalflife radionuclidetotaldose radiopharmaceutical radiopharmaceuticalinformationsequence
radiopharmaceuticalstartdatetime radiopharmaceuticalstarttime same say scan series seriestime shift sideways size slice slices spacing start
stddev suv than that the their they tilt times to umolml umolminml uneven units weight where with"""
_REASON_WORDS: Final = frozenset(_REASON_TEXT.split())
"""Words of the sentences that say why a series is no volume or has no SUV factor."""


def judge(rows: Iterable[Mapping[str, Any]], attributes: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on what a series' header sidecar or attributes say that the gate would not have let in. Never values."""
    said: set[str] = set()
    for row in rows:
        wrong = [name for name in _UIDS if not _is_uid(row.get(name))]
        if wrong or not _DIGEST.fullmatch(row.get("pixel_sha256") or "0" * 64):
            yield "A row of the header sidecar holds what is no identifier of ours."
        if row.get("header") is None:
            continue
        header = _parsed(row["header"])
        if header is None:
            yield "A header cannot be read as DICOM."
            continue
        for finding in verifier.verify_header(header):
            yield f"The verifier does not accept a header: {finding.reason} ({', '.join(finding.tags)})."
        _collect(header, said)
    yield from _attributes(attributes, said)


def _is_uid(value: object) -> bool:
    return isinstance(value, str) and (value == "" or verifier.is_known_uid(value))


def _parsed(text: object) -> Dataset | None:
    with files.quiet(), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            header = Dataset.from_json(json.loads(str(text)))
            for element in header.iterall():
                _ = element.value
        except _PARSE_ERRORS:
            return None
    return header


def _collect(data_set: Dataset, said: set[str]) -> None:
    """All texts of a header, also those of several values as one."""
    for element in data_set.iterall():
        if element.VR != "SQ" and not isinstance(element.value, bytes):
            said.add(str(element.value).strip())
            said.update(verifier.strings(element.value))


def _attributes(attributes: Mapping[str, Any], said: set[str]) -> Iterator[str]:
    wrong: set[str] = set()
    for name, value in attributes.items():
        if name == "deidentification":
            if not _is_record(value):
                wrong.add(name)
        elif name in {"irregular_reason", "suv"}:
            wrong.update(name for text in _texts(value) if not _is_reason(text))
        else:
            wrong.update(name for text in _texts(value) if not (text in said or _is_own(text)))
    for name in sorted(wrong):
        yield f"The series' attribute {name} says what its headers do not say."


def _is_own(text: str) -> bool:
    return not text or text in _OWN or any(form.fullmatch(text) for form in (_DIGEST, _SERIES, _NUMBERED))


def _is_reason(text: str) -> bool:
    runs = re.findall(r"[^\W\d_]+", text.lower())
    return set(runs) <= _REASON_WORDS and not re.search(r"[0-9]{6}", text)


def _is_record(value: object) -> bool:
    if not isinstance(value, Mapping) or set(value) - {*_RECORD, "recognisable"} or not isinstance(value.get("recognisable", False), bool):
        return False
    given = {name: value[name] for name in _RECORD if name in value}
    if not isinstance(given.get("codes", []), list):
        return False
    texts = [(name, text) for name, part in given.items() for text in (part if isinstance(part, list) else [part])]
    return all(isinstance(text, str) and _RECORD[name].fullmatch(text) for name, text in texts)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, names of fields but those of the model left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
