"""Shift DICOM dates and times by one span, at their own precision (PS3.5 6.2: DA, TM, DT; PS3.15 E.3.6).

A date moves together with its time where both are known, so that midnight is crossed when it must be. Alone, a date moves by whole
days and a time by the part of a day: differences between two times stay true modulo 24 hours.
"""

import re
from datetime import date, datetime, time, timedelta

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DATETIME = re.compile(r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?))?)?)?(?:[+-]\d{4})?")


def _date(text: str) -> date | None:
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _time(text: str) -> tuple[time, int] | None:
    """The time and its precision: 2, 4 or 6 for hours, minutes, seconds, 7 and more with that many less 6 decimals."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds, fraction = (match[i] or "" for i in range(1, 5))
    try:
        value = time(int(hours), int(minutes or 0), min(int(seconds or 0), 59), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None
    return value, len(hours + minutes + seconds + fraction)


def _write_time(value: datetime, precision: int) -> str:
    digits = f"{value:%H%M%S%f}"[:precision]
    return digits if precision <= len("HHMMSS") else f"{digits[:6]}.{digits[6:]}"


def shift_date(text: str, shift: timedelta, at: str = "") -> str | None:
    """A DA value moved back by `shift`, with its time `at` (TM) when there is one. None when it is no date."""
    day = _date(text)
    if day is None:
        return None
    moment = _time(at) if at else None
    try:
        if moment is None:
            return f"{day - timedelta(days=shift.days):%Y%m%d}".zfill(8)
        return f"{datetime.combine(day, moment[0]) - shift:%Y%m%d}".zfill(8)
    except OverflowError:
        return None


def shift_time(text: str, shift: timedelta) -> str | None:
    """A TM value moved back by the part of a day in `shift`, modulo 24 hours. None when it is no time."""
    moment = _time(text)
    if moment is None:
        return None
    moved = datetime.combine(date(2000, 1, 2), moment[0]) - timedelta(seconds=shift.seconds)
    return _write_time(moved, moment[1])


def shift_datetime(text: str, shift: timedelta) -> str | None:
    """A DT value moved back by `shift`; its offset from UTC is left out, for it tells the place. None when it is no date and time.

    A value without a day is not kept: it cannot be moved at its own precision.
    """
    match = _DATETIME.fullmatch(text.strip())
    if match is None or match[3] is None:
        return None
    day = _date(match[1] + match[2] + match[3])
    if day is None:
        return None
    if match[4] is None:
        return shift_date(match[1] + match[2] + match[3], shift)
    moment = _time(match[4])
    if moment is None:
        return None
    try:
        moved = datetime.combine(day, moment[0]) - shift
    except OverflowError:
        return None
    return f"{moved:%Y%m%d}".zfill(8) + _write_time(moved, moment[1])
