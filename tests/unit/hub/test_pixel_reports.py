"""Sessions' reports of what their gateway sent: an audit event each, once, only of what the session had open."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from cohortlab.errors import RefusedError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access import Lease
from cohortlab_hub.access.held import close_leases, open_leases
from cohortlab_hub.pixels.reports import PixelReport, take
from cohortlab_hub.pixels.tables import PixelReportRow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    """Records in which ana's session has, and bob's once had, lungs open."""
    where = f"sqlite:///{tmp_path}/records.sqlite"
    with records.opened(where) as database:
        for name in ("ana", "bob"):
            open_leases(database, name, "", [Lease(name, "lungs", AccessCondition.IN_SITU_PROCESSING, None, "grant")], NOW)
        close_leases(database, "bob", "", NOW)
    return where


def told(*datasets, number=None, **more):
    sent = {"since": NOW.isoformat(), "answers": 3, "bytes": 4096, "series": 2, "cases": 1, **more}
    return PixelReport(id=number or uuid.uuid4(), sent=[sent | {"dataset": dataset} for dataset in datasets])


def read(url):
    with records.opened(url) as database:
        audit.verify(database)
        return [(event.actor, event.target, event.details) for event in audit.events(database) if event.action == "pixels.read"]


def test_a_report_is_an_event_and_counts_once(url):
    one = told("lungs")
    for who, new in (("ana", True), ("ana", False), ("bob", True), ("bob", False)):
        with records.opened(url) as database:
            assert take(database, who, one, NOW) is new
    details = {"answers": 3, "bytes": 4096, "series": 2, "cases": 1, "since": "2026-03-01T12:00:00Z", "session": ""}
    assert read(url) == [("ana", "lungs", details), ("bob", "lungs", details)]


def test_nobody_reports_what_their_session_never_had(url):
    one = told("lungs", "liver")
    with pytest.raises(RefusedError), records.opened(url) as database:
        take(database, "ana", one, NOW)
    with pytest.raises(RefusedError), records.opened(url) as database:
        take(database, "eve", told("lungs"), NOW)
    assert read(url) == []
    with records.opened(url) as database:  # refused is not taken
        assert take(database, "ana", told("lungs", number=one.id), NOW)


def test_what_was_taken_is_forgotten_when_nobody_sends_it_again(url):
    with records.opened(url) as database:
        take(database, "ana", told("lungs"), NOW)
        take(database, "ana", told("lungs"), NOW + timedelta(days=3))
        assert database.query(PixelReportRow).count() == 1


@pytest.mark.parametrize("wrong", [{"bytes": -1}, {"answers": 2**60}, {"note": "x"}, {"since": "2026-03-01T12:00:00"}])
def test_other_forms_are_refused(wrong):
    with pytest.raises(ValidationError):
        told("lungs", **wrong)
    with pytest.raises(ValidationError):
        told("../lungs")
    with pytest.raises(ValidationError):
        told()
