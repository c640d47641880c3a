"""Message catalogues: ``locale/<language>/LC_MESSAGES/cohortlab.po``, read as they are; nothing is compiled.

English is the language of the code and needs none. A new language is a folder with a copy of a catalogue, translated;
``tests/unit/hub/test_texts.py`` says which messages lack.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from babel import Locale
from babel.messages.pofile import read_po

ENGLISH = "en"
_FOLDER = files("cohortlab_hub") / "locale"
_FILE = "cohortlab.po"


@dataclass(frozen=True)
class Catalogue:
    """The messages of a language: English -> translation, one for each plural form. `form`: which form a number takes."""

    language: str
    messages: Mapping[str, tuple[str, ...]]
    form: Callable[[int], int]

    def one(self, message: str) -> str:
        """The translation; the message itself where there is none."""
        return self.messages.get(message, (message,))[0]

    def many(self, singular: str, plural: str, number: int) -> str:
        """The translation for `number` of something."""
        forms = self.messages.get(singular)
        if forms is None or len(forms) == 1:
            return singular if number == 1 else plural
        return forms[self.form(number)]


@cache
def languages() -> dict[str, str]:
    """The languages that there are, with their own names: English, then the others by code."""
    codes = sorted(folder.name for folder in _FOLDER.iterdir() if (folder / "LC_MESSAGES" / _FILE).is_file())
    return {code: (Locale(code).get_display_name(code) or code).capitalize() for code in [ENGLISH, *codes]}


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of one of `languages`. Raises `KeyError` for another one."""
    if language not in languages():
        raise KeyError(language)
    if language == ENGLISH:
        return Catalogue(ENGLISH, {}, lambda number: int(number != 1))
    with (_FOLDER / language / "LC_MESSAGES" / _FILE).open("rb") as file:
        read = read_po(file, locale=language)
    messages: dict[str, tuple[str, ...]] = {}
    for message in read:
        key, text = message.id, message.string
        if not key or message.fuzzy or not text:
            continue
        messages[key if isinstance(key, str) else key[0]] = (text,) if isinstance(text, str) else tuple(text)
    plural = Locale(language).plural_form
    tags = sorted(plural.tags | {"other"}, key=["zero", "one", "two", "few", "many", "other"].index)
    used = max((len(forms) for forms in messages.values()), default=1)
    return Catalogue(language, messages, lambda number: min(tags.index(plural(number)), used - 1))
