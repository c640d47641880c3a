"""Translates what the rules said: sentences that come from records, events and exceptions, in English, long after they were said.

A decision's reason, a notice, why a start failed: they are made by pure functions that know of no language, kept in
records, and shown to somebody else tomorrow. So the translation happens where they are shown: each sentence is recognised by the
message it was made from. A message's places are written ``{0}``, ``{1}`` in the catalogue; what stands there is translated too where it
is known, and left as it is otherwise: names, times, codes.
"""

import re
from functools import cache, lru_cache

from cohortlab_hub.texts.catalogue import ENGLISH, catalogue

_PLACE = re.compile(r"\{(\d)\}")
_END = re.compile(r"(?<=[.?!]) (?=[A-Z{])")
_DEPTH = 8


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """(what a made sentence looks like, the translation with its places), the most particular first."""
    made = []
    for message, (translation, *_) in catalogue(language).messages.items():
        if _PLACE.search(message):
            parts = _PLACE.split(message)
            regex = "".join(_regex(parts, number) for number in range(len(parts)))
            made.append((sum(map(len, parts[::2])), re.compile(regex, re.DOTALL), translation))
    return [(regex, translation) for _, regex, translation in sorted(made, key=lambda one: -one[0])]


def _regex(parts: list[str], number: int) -> str:
    """Of a message split at its places, the part `number` as a regular expression. What stands in brackets holds no bracket."""
    if number % 2 == 0:
        return re.escape(parts[number])
    bracketed = parts[number - 1].endswith("(") and parts[number + 1].startswith(")")
    return f"(?P<p{parts[number]}>{'[^()]+' if bracketed else '.+?'})"


@lru_cache(maxsize=4096)
def said(text: str, language: str, depth: int = _DEPTH) -> str:
    """`text` in `language`, sentence by sentence; what is not known stays as it is."""
    if language == ENGLISH or not text or depth == 0:
        return text
    sentences = _END.split(text)
    for strict in (True, False):
        for number in range(len(sentences), 0, -1):
            first = _one(" ".join(sentences[:number]), language, depth, strict=strict)
            if first is not None:
                rest = said(" ".join(sentences[number:]), language, depth)
                return f"{first} {rest}" if rest else first
    if len(sentences) > 1:
        return f"{sentences[0]} {said(' '.join(sentences[1:]), language, depth)}"
    return ", ".join(said(part, language, depth - 1) for part in text.split(", ")) if ", " in text else text


def _one(text: str, language: str, depth: int, *, strict: bool) -> str | None:
    """The translation of one message; None: it is none. `strict`: no place of it holds more than a part of a sentence."""
    known = catalogue(language).messages.get(text)
    if known is not None:
        return known[0]
    for regex, translation in _patterns(language):
        found = regex.fullmatch(text)
        if found is not None and not (strict and any(map(_END.search, found.groups()))):
            return _filled(translation, {name[1:]: said(value, language, depth - 1) for name, value in found.groupdict().items()})
    return None


def _filled(translation: str, places: dict[str, str]) -> str:
    return _PLACE.sub(lambda place: places[place.group(1)], translation)
