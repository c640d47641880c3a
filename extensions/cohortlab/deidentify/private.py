"""Safe private attributes (PS3.15 Table E.3.10-1): numbers that vendors keep in private blocks and that readers need."""

import math
import re
from collections.abc import Callable
from typing import Any, Final

from pydicom.dataset import Dataset

_GE_OFFSET = 1_000_000_000  # GE writes some b-values with this added
_MOST = 100_000.0


def _first(value: Any) -> float | None:
    """The first number of a value: a number, a list of them, or text in bytes."""
    if isinstance(value, bytes):
        match = re.match(rb"\s*(\d{1,10}(?:\.\d{1,6})?)\s*(?:\\|\0|$)", value)
        return float(match[1]) if match else None
    try:
        return float(value if isinstance(value, int | float | str) else value[0])
    except (TypeError, ValueError, IndexError):
        return None


def _ge(value: Any) -> float | None:
    number = _first(value)
    return number if number is None else number % _GE_OFFSET


_B_VALUES: Final[tuple[tuple[int, str, int, Callable[[Any], float | None]], ...]] = (
    (0x0019, "SIEMENS MR HEADER", 0x0C, _first),
    (0x0043, "GEMS_PARM_01", 0x39, _ge),
    (0x2001, "Philips Imaging DD 001", 0x03, _first),
)
"""Group, private creator, element, and how the number is written."""


def b_value(source: Dataset) -> float | None:
    """The diffusion b-value in s/mm2 that an MR image's private attributes give, or None."""
    groups = {int(tag) >> 16 for tag in source.keys()}  # noqa: SIM118  iterating over a data set would convert its elements
    for group, creator, element, read in _B_VALUES:
        if group not in groups:
            continue
        try:
            value = source.private_block(group, creator)[element].value
        except KeyError:
            continue
        number = read(value)
        if number is not None and math.isfinite(number) and 0 <= number <= _MOST:
            return number
    return None
