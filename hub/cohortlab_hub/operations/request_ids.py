"""The id of a request: taken over from ``X-Request-ID`` where it has a modest form, else made; the answer says it."""

import re
import secrets
from typing import Final

HEADER: Final = "X-Request-ID"
_FORM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def accepted(given: str | None) -> str:
    """`given` when it is 1 to 64 letters, digits, dots, hyphens and underscores; else a new id of 16 hexadecimal digits."""
    return given if given is not None and _FORM.fullmatch(given) else secrets.token_hex(8)
