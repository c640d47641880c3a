"""Groups as a provider writes them -> group names of the hub: full paths, so that no two groups share a name. Pure functions.

Names are compared letter by letter: no case is folded, no accent composed, nothing trimmed. What could be taken for another
group, or is no text, is left out. The forms:

``plain``        the provider's own names, as they are
``path``         Keycloak's full paths, ``/cohort/readers``; a name without a slash first is a short one, which two groups may share
``entitlement``  AARC-G069, ``<namespace>:group:<group>[:<subgroup>…][:role=<role>]#<authority>`` -> ``/group/subgroup/role=<role>``,
                 only of the namespace and authority that are set
"""

import re
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import unquote

_PART = re.compile(r"[^/:#%]+")
_LONGEST = 255


def names(claim: Any, form: Literal["plain", "path", "entitlement"], namespace: str = "", authority: str = "") -> set[str]:
    """The group names of a groups claim (a list, or one text)."""
    values: Iterable[Any] = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    found = (_name(value, form, namespace, authority) for value in values if isinstance(value, str))
    return {name for name in found if name and len(name) <= _LONGEST and name == name.strip() and name.isprintable()}


def _name(value: str, form: str, namespace: str, authority: str) -> str | None:
    if form == "plain":
        return value
    if form == "path":
        return value if value.startswith("/") and all(value[1:].split("/")) else None
    head, hash_mark, tail = value.partition("#")
    prefix = f"{namespace}:group:"
    if not hash_mark or tail != authority or not head.startswith(prefix):
        return None
    parts = [unquote(part, errors="strict") if _decodable(part) else "" for part in head.removeprefix(prefix).split(":")]
    return "/" + "/".join(parts) if all(_PART.fullmatch(part) for part in parts) else None


def _decodable(part: str) -> bool:
    try:
        unquote(part, errors="strict")
    except UnicodeDecodeError:
        return False
    return True
