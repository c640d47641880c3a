"""The profile's two tables: what PS3.15 wants done with an attribute (`ps315.csv`), and what may survive at all (`allowed.csv`).

The allow-list comes first: what it does not name is removed. What it names survives only in a form that satisfies the standard's action on
it under the options in use, so an error in the allow-list cannot keep what the standard wants removed.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

from pydicom.datadict import tag_for_keyword

STANDARD: Final = "DICOM PS3.15 2026c"


class Option(StrEnum):
    """The options of the profile that are in use here, by their column in `ps315.csv`."""

    MODIFIED_DATES = "modified_dates"
    DESCRIPTORS = "descriptors"
    DEVICE = "device"
    PATIENT = "patient"
    PRIVATE = "private"


OPTIONS: Final = frozenset(Option)

CODES: Final[dict[str, str]] = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113102": "Clean Recognizable Visual Features Option",
    "113103": "Clean Graphics Option",
    "113104": "Clean Structured Content Option",
    "113105": "Clean Descriptors Option",
    "113106": "Retain Longitudinal Temporal Information Full Dates Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113110": "Retain UIDs Option",
    "113111": "Retain Safe Private Option",
    "113112": "Retain Institution Identity Option",
}
"""De-identification methods: PS3.16 CID 7050, scheme DCM."""

BASIC: Final = "113100"
OURS: Final = (BASIC, "113105", "113107", "113108", "113109", "113111")
"""What this profile does, as codes."""

PIXEL_CLAIMS: Final = ("113101", "113102")
"""Claims about pixels that a source which was de-identified before may bring along; the profile itself changes no pixel."""

_RULES: Final = (
    "pseudonym", "empty", "enum", "age", "number", "integer", "uid", "class", "date", "time", "datetime", "text", "term", "orientation",
    "code", "codes", "items", "pixels", "made",
)  # fmt: skip


@dataclass(frozen=True)
class Allowed:
    """One line of the allow-list. `values`: of an enum. `low`, `high`: of a number."""

    keyword: str
    rule: str
    top_only: bool
    values: frozenset[str] = frozenset()
    low: float = float("-inf")
    high: float = float("inf")


@dataclass(frozen=True)
class Listed:
    """One line of the standard's table: the Basic Profile's action, possibly several by IOD type, and those of options."""

    keyword: str
    basic: str
    options: dict[str, str]


def _lines(name: str) -> Iterator[dict[str, str]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


@cache
def table() -> dict[str, Listed]:
    """The standard's table, by tag as eight hexadecimal digits; repeating groups are written with ``X``."""
    rows = {}
    for row in _lines("ps315.csv"):
        pairs = (pair.split("=") for pair in row["options"].split())
        rows[row["tag"]] = Listed(row["keyword"], row["basic"], dict(pairs))
    return rows


@cache
def allowed() -> dict[int, Allowed]:
    """The allow-list, by tag. Raises `ValueError` for a keyword that is not in PS3.6."""
    rows = {}
    for row in _lines("allowed.csv"):
        tag = tag_for_keyword(row["keyword"])
        if tag is None:
            raise ValueError(f"allowed.csv: unknown keyword {row['keyword']}")
        rows[tag] = _allowed(row)
    return rows


def _allowed(row: dict[str, str]) -> Allowed:
    rule, argument = row["rule"], row["argument"].split()
    if rule not in _RULES:
        raise ValueError(f"allowed.csv: unknown rule {rule}")
    top = row["where"] == "top"
    if rule == "enum":
        return Allowed(row["keyword"], rule, top, values=frozenset(value.replace("~", " ") for value in argument))
    if argument:
        return Allowed(row["keyword"], rule, top, low=float(argument[0]), high=float(argument[1]))
    return Allowed(row["keyword"], rule, top)


def listed(tag: int) -> Listed | None:
    """The standard's line for a tag, also for curves (50xx) and overlays (60xx); None when it lists none."""
    text = f"{tag:08X}"
    rows = table()
    if text in rows:
        return rows[text]
    if text.startswith("50"):
        return rows["50XXXXXX"]
    return rows.get(f"60XX{text[4:]}") if text.startswith("60") else None


def actions(tag: int, options: frozenset[Option] = OPTIONS) -> frozenset[str]:
    """The standard's actions on a tag under `options`, any of which satisfies it: K keep, C clean, X remove, Z empty, D replace, U new UID.

    Several where the Basic Profile lets the attribute's type in the IOD decide (X/Z/D). Private tags are removed. What the
    table does not list is kept by the standard: the allow-list decides on it alone.
    """
    if (tag >> 16) % 2:
        return frozenset("X")
    line = listed(tag)
    if line is None:
        return frozenset("K")
    by_option = {line.options[option] for option in options if line.options.get(option) in {"K", "C"}}
    return frozenset(by_option or line.basic.replace("*", "").split("/"))


_SATISFIES: Final[dict[str, frozenset[str]]] = {
    "K": frozenset({*_RULES}),
    "C": frozenset({"date", "time", "datetime", "text", "empty"}),
    "Z": frozenset({"empty", "pseudonym"}),
    "D": frozenset({"pseudonym"}),
    "U": frozenset({"uid", "items"}),
    "X": frozenset(),
}


@cache
def surviving(options: frozenset[Option] = OPTIONS) -> dict[int, Allowed]:
    """The allow-list as far as the standard's table, under `options`, is satisfied by what its rules do."""
    return {tag: row for tag, row in allowed().items() if any(row.rule in _SATISFIES[action] for action in actions(tag, options))}
