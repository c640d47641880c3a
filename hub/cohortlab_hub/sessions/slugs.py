"""Folder names of people's homes: two people never share one.

A name of 1 to 32 lowercase letters, digits and single inner hyphens is its own slug. Any other becomes its readable part,
``--`` and 12 hex digits of its SHA-256; as a name with ``--`` is never its own slug, the two kinds never meet.
"""

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_LONGEST = 32


def slug(name: str) -> str:
    """The slug of an account name: at most 46 characters of ``a-z 0-9 -``."""
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].strip("-") or "x"
    return f"{readable}--{hashlib.sha256(name.encode()).hexdigest()[:12]}"
