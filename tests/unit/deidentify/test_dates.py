"""Dates and times that move back together."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohortlab.deidentify.dates import shift_date, shift_datetime, shift_time

SHIFT = timedelta(days=400, hours=2)


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20170412", "", "20160308"),
        ("20170412", "093000", "20160308"),
        ("20170412", "013000", "20160307"),  # two hours earlier is the day before
        ("20170412", "01", "20160307"),
        ("2017.04.12", "", "20160308"),
        ("20170412", "soon", "20160308"),
        ("20170431", "", None),
        ("2017", "", None),
        ("Quxworth", "", None),
        ("00010101", "", None),
    ],
)
def test_a_date(date, time, expected):
    assert shift_date(date, SHIFT, time) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("093000", "073000"),
        ("0930", "0730"),
        ("09", "07"),
        ("013000.25", "233000.25"),
        ("09:30:00", "073000"),
        ("235960", "215959"),
        ("250000", None),
        ("9", None),
        ("", None),
    ],
)
def test_a_time(time, expected):
    assert shift_time(time, SHIFT) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("20170412093000.123456", "20160308073000.123456"),
        ("20170412093000+0100", "20160308073000"),
        ("201704120100", "201603072300"),
        ("20170412", "20160308"),
        ("201704", None),
        ("2017", None),
        ("Quxworth", None),
    ],
)
def test_a_date_and_time(moment, expected):
    assert shift_datetime(moment, SHIFT) == expected


MOMENTS = st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2090, 1, 1))  # noqa: DTZ001  DICOM times have no zone
SHIFTS = st.builds(timedelta, days=st.integers(366, 3649), seconds=st.integers(1, 86399))


@given(MOMENTS, MOMENTS, SHIFTS)
def test_intervals_stay_exact(one, other, shift):
    def moved(moment):
        date = shift_date(f"{moment:%Y%m%d}", shift, f"{moment:%H%M%S.%f}")
        time = shift_time(f"{moment:%H%M%S.%f}", shift)
        return datetime.strptime(date + time, "%Y%m%d%H%M%S.%f").replace(tzinfo=UTC)

    assert moved(one) - moved(other) == one - other


@given(st.text(max_size=30), SHIFTS)
def test_nothing_else_gets_through(text, shift):
    for moved in (shift_date(text, shift), shift_time(text, shift), shift_datetime(text, shift)):
        assert moved is None or set(moved) <= set("0123456789.")
