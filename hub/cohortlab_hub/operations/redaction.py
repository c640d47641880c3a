"""What no line of a log may hold, taken out of texts: a second line of defence behind code that logs none of it.

Out come tokens, passwords and other secrets by their form or name, whatever a URL carries after its ``?`` or before its ``@``, the
addresses of people's machines, and what a person opened in their session (a file's name may tell of a patient).
"""

import re
from collections.abc import Callable
from typing import Final

SECRET: Final = "[secret]"  # noqa: S105 - what stands instead of one
_NAMES: Final = r"(?:token|secret|passwd|password|api_?key|authorization|cookie|_xsrf|client_assertion|code_verifier)"

_RULES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,4}"), SECRET),  # JWS and JWE: passports, tickets, id tokens
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@", re.IGNORECASE), rf"\1{SECRET}@"),
    (re.compile(r"\b(token|bearer|basic)[ ]+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {SECRET}"),
    (re.compile(rf"([\w.-]*{_NAMES}[\w.-]*['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,;)}}\]]+", re.IGNORECASE), rf"\1{SECRET}"),
    (re.compile(r"(/[^\s?'\"<>]*)\?[^\s'\"<>)]+"), r"\1?…"),
    (re.compile(r"(/user/[^/\s?'\"<>]+/)[^\s?'\"<>)]+"), r"\1…"),
    (re.compile(r"(?<!job-)(?<!ticket-)\b[0-9a-fA-F]{32,}\b"), SECRET),  # JupyterHub's tokens, keys in hexadecimal
    # "(ana@192.0.2.7)" and "(2001:db8::7)": who asked stays, from where does not
    (re.compile(r"\((?:([^()\s@]*)@)?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]*)\)"), lambda found: f"({found[1] or ''})"),
)


def clean(text: str) -> str:
    """`text` without what must not be logged."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
