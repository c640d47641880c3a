"""Clean descriptions: leave the words that say how an image was made, take out all others (PS3.15 E.3.5, Clean Descriptors).

Allow-list first: a word survives only if `words.txt` has it and it is no word of the patient's own identifiers. Of numbers, only
short ones survive, and none where they could together be a date, a telephone number or a record number.
"""

import re
from collections.abc import Collection, Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

MAX_TEXT: Final = 64
"""Longest text that is kept; DICOM's LO has the same bound."""

_TOKEN = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Za-z]+|[0-9]+")
_BETWEEN = re.compile(r"[^ _\-/+.,*()]")  # what may stand between words; everything else becomes a space
_DATE_LIKE = re.compile(r"[0-9]{1,4}[./\-_ ][0-9]{1,2}[./\-_ ][0-9]{1,4}")
_TOKEN_DIGITS, _B_VALUE_DIGITS, _TEXT_DIGITS = 3, 4, 8
_SHORT = 2  # shorter words of a name are no identifiers of their own: they would take out "a" or "mr"


@cache
def words() -> frozenset[str]:
    """The words that may stay, lower case."""
    text = files(__package__).joinpath("words.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def identifying(values: Iterable[str]) -> frozenset[str]:
    """The words of a patient's own identifiers, lower case, without the very short ones: none of them may stay in a text."""
    found = (word.casefold() for value in values for word in re.findall(r"\w+", value.replace("_", " ")))
    return frozenset(word for word in found if len(word) > _SHORT)


def _known(token: str, extra: Collection[str]) -> bool:
    lower = token.lower()
    if lower in words() or lower in extra:
        return True
    parts = _PART.findall(lower)
    for index, part in enumerate(parts):
        if part.isdigit():
            b_value = index > 0 and parts[index - 1] == "b"
            if len(part) > (_B_VALUE_DIGITS if b_value else _TOKEN_DIGITS):
                return False
        elif part not in words() and part not in extra:
            return False
    return True


@lru_cache(maxsize=65_536)
def clean(text: str, banned: frozenset[str] = frozenset(), extra: frozenset[str] = frozenset()) -> str:
    """`text` with only allowed words, the separators between them, at most `MAX_TEXT` characters. May be empty.

    banned: words that never stay (see `identifying`). extra: further allowed words, lower case.
    """
    numbers = not _DATE_LIKE.search(text) and sum(c.isdigit() for c in text) <= _TEXT_DIGITS
    left = _kept(text, banned, extra, numbers=numbers)
    if numbers and _DATE_LIKE.search(left):  # what stood between its numbers is gone
        return _kept(text, banned, extra, numbers=False)
    return left


def _kept(text: str, banned: frozenset[str], extra: frozenset[str], *, numbers: bool) -> str:
    """The words that stay; `numbers`: also those that are digits."""
    kept: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        between, token = text[end : match.start()], match[0]
        end = match.end()
        if not token.isascii() or token.lower() in banned or any(p in banned for p in _PART.findall(token.lower())):
            continue
        if not numbers and any(c.isdigit() for c in token) and token.lower() not in words():
            continue
        if not _known(token, extra):
            continue
        if kept:
            kept.append(_BETWEEN.sub(" ", between)[:2] or " ")
        elif between and set(between) <= {"*"}:
            kept.append("*")
        kept.append(token)
    result = ""
    for piece in kept:
        if len(result) + len(piece) > MAX_TEXT:
            break
        result += piece
    return re.sub(r" {2,}", " ", result).strip(" _-/+.,")


def clean_term(value: str, banned: frozenset[str] = frozenset()) -> str:
    """A CS value when each of its words is allowed as it stands, else an empty text (a part of a term is no term)."""
    value = value.strip()
    return value if value and clean(value, banned) == value else ""
