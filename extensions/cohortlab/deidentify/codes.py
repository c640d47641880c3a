"""Coded concepts (PS3.3 8.8): keep those that the standard's dictionaries know, with the dictionary's own meaning.

A code's meaning is free text and a code of an unknown scheme can be any number, so neither is taken over as it came. A concept that is not
in a dictionary stays only if its value has the form of its scheme; its meaning is then cleaned like any description.
"""

import re
from functools import cache
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from cohortlab.deidentify.clean import clean

_FORMS: Final[dict[str, re.Pattern[str]]] = {
    "SRT": re.compile(r"[A-Z]-[0-9A-F]{4,6}"),
    "SNM3": re.compile(r"[A-Z]-[0-9A-F]{4,6}"),
    "SCT": re.compile(r"[1-9][0-9]{5,17}"),
    "NCIt": re.compile(r"C[0-9]{3,6}"),
    "RADLEX": re.compile(r"RID[0-9]{1,6}"),
    "FMA": re.compile(r"[1-9][0-9]{3,5}"),
    "LN": re.compile(r"[0-9]{1,6}-[0-9]"),
    "UMLS": re.compile(r"C[0-9]{7}"),
}


_PERMUTED: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_FLIP: Final = 5  # from here on elements of D5 are reflections


@cache
def _dictionary() -> dict[tuple[str, str], str]:
    """(scheme, value) -> meaning, of all context groups of PS3.16."""
    tables: dict[str, dict[str, dict[str, tuple[str, list[int]]]]] = concepts  # type: ignore[assignment]  # pydicom says object
    return {
        (scheme, value): meaning
        for scheme, by_keyword in tables.items()
        for values in by_keyword.values()
        for value, (meaning, *_) in values.items()
    }


@cache
def _meaning_words() -> frozenset[str]:
    """The words of all meanings in PS3.16: allowed in a meaning, not in a description."""
    return frozenset(word for meaning in _dictionary().values() for word in re.findall(r"[a-z]+", meaning.lower()))


def known_meaning(scheme: str, value: str) -> str | None:
    """The meaning that PS3.16 gives to a code; SRT codes are looked up by their SNOMED CT successors."""
    found = _dictionary().get((scheme, value))
    if found is None and scheme in {"SRT", "SNM3", "99SDM"}:
        successor = mapping["SRT"].get(value)
        found = _dictionary().get(("SCT", successor)) if successor else None
    return found


def _is_concept_id(digits: str) -> bool:
    """Whether a number is a SNOMED CT concept's: two digits for the kind of component, then a check digit (Verhoeff 1969, in group D5)."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        turned = int(digit)
        for _ in range(place % 8):
            turned = _PERMUTED[turned]
        sign = -1 if check >= _FLIP else 1
        check = (check + sign * turned) % _FLIP + _FLIP * ((check >= _FLIP) != (turned >= _FLIP))
    return check == 0 and digits[-3:-1] in {"00", "10"}


def _text(item: Dataset, keyword: str) -> str:
    value = item.get(keyword, "")
    return value.strip() if isinstance(value, str) else ""


def clean_code(item: Dataset, banned: frozenset[str]) -> Dataset | None:
    """A new item with value, scheme and meaning of `item`, or None when the code cannot be shown to be one."""
    scheme, value = _text(item, "CodingSchemeDesignator"), _text(item, "CodeValue")
    meaning = known_meaning(scheme, value)
    if meaning is None:
        form = _FORMS.get(scheme)
        if form is None or not form.fullmatch(value) or (scheme == "SCT" and not _is_concept_id(value)):
            return None
        meaning = clean(_text(item, "CodeMeaning"), banned, _meaning_words()) or value
    result = Dataset()
    result.CodeValue = value
    result.CodingSchemeDesignator = scheme
    result.CodeMeaning = meaning[:64] if meaning.isascii() else value
    return result


def code_item(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
