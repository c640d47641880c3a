"""Records, grants, leases and the audit chain: the same tests on SQLite and on PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from postgres import Postgres
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, Person, Terms, add, grants_of, leases, listed, revoke
from cohortlab_hub.access.held import close_leases, of_person, open_leases, running
from cohortlab_hub.access.visa_grants import VisaGrant, sync

KNOWN = {"scans"}


@pytest.fixture(scope="module")
def cluster():
    made = []

    def start():
        if not made:
            made.append(Postgres())
        return made[0]

    yield start
    for one in made:
        one.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path, cluster):
    return cluster().database() if request.param == "postgresql" else f"sqlite:///{tmp_path}/hub/records.sqlite"


def tables(url):
    engine = records.engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_migrations_go_up_and_down_and_up_again(url):
    records.migrate(url)
    there = tables(url)
    assert {"grants", "audit_events"} <= there
    assert there >= set(records.Base.metadata.tables)
    records.downgrade(url)
    assert tables(url) == {"alembic_version"}
    records.migrate(url)
    assert tables(url) == there


def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x" * 5000)
    with pytest.raises(StorageError, match="The records cannot be opened"):
        records.migrate(f"sqlite:///{tmp_path}/file")


def test_many_writers_make_one_chain(url):
    records.migrate(url)
    engine_errors = []

    def write(name):
        try:
            for number in range(10):
                with records.opened(url) as database:
                    audit.record(database, name, "test.write", "x", {"number": number})
        except StorageError as error:
            engine_errors.append(error)

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine_errors == []
    with records.opened(url) as database:
        count, _digest = audit.verify(database)
    assert count == 30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE audit_events SET actor = 'mallory' WHERE number = 2", "broken at event 2: it was changed"),
        ("UPDATE audit_events SET details = '[]' WHERE number = 1", "broken at event 1: it was changed"),
        ("DELETE FROM audit_events WHERE number = 2", "event 2 is missing"),
        ("DELETE FROM audit_events WHERE number = 1", "event 1 is missing"),
        ("UPDATE audit_events SET number = 9 WHERE number = 3", "event 3 is missing"),
    ],
)
def test_every_change_of_the_chain_is_found_and_hard_to_make(url, change, says):
    with records.opened(url) as database:
        for number in range(3):
            audit.record(database, "ana", "test.write", "x", {"number": number})
    with pytest.raises(DatabaseError, match="append-only"), records.opened(url) as database:
        database.execute(text(change))
    triggers = ["audit_append_only ON audit_events"] if url.startswith("postgresql") else ["audit_no_update", "audit_no_delete"]
    with records.opened(url) as database:
        for trigger in triggers:
            database.execute(text(f"DROP TRIGGER {trigger}"))
        database.execute(text(change))
    with records.opened(url) as database, pytest.raises(IntegrityError, match=says):
        audit.verify(database)


def test_a_grant_and_its_event_are_stored_together_or_not_at_all(url):
    class StopError(Exception):
        """The caller's transaction fails after the grant."""

    def fail():
        with records.opened(url) as database:
            add(database, "steward", NewGrant(subject="ana", dataset="scans", reason="study"), KNOWN)
            raise StopError

    with pytest.raises(StopError):
        fail()
    with records.opened(url) as database:
        assert listed(database) == []
        assert audit.events(database) == []


def test_grants_of_a_person_are_their_own_and_their_groups(url):
    with records.opened(url) as database:
        for kind, name in (("person", "ana"), ("group", "readers"), ("person", "readers"), ("group", "ana")):
            add(database, "steward", NewGrant(subject_kind=kind, subject=name, dataset="scans", reason="study"), KNOWN)
        mine = grants_of(database, Person("ana", frozenset({"readers"})))
    assert sorted((grant.subject_kind, grant.subject) for grant in mine) == [("group", "readers"), ("person", "ana")]


def test_what_cannot_be_granted(url):
    now = datetime.now(UTC)
    with records.opened(url) as database:
        with pytest.raises(NotFoundError, match="no dataset films"):
            add(database, "s", NewGrant(subject="ana", dataset="films", reason="study"), KNOWN)
        with pytest.raises(InvalidInputError, match="end before it begins"):
            add(database, "s", NewGrant(subject="ana", dataset="scans", reason="study", until=now - timedelta(seconds=1)), KNOWN)
        with pytest.raises(NotFoundError, match="no such grant"):
            revoke(database, "s", "none", "why")


def test_the_first_revocation_stays(url):
    with records.opened(url) as database:
        made = add(database, "s", NewGrant(subject="ana", dataset="scans", reason="study"), KNOWN)
        first = revoke(database, "one", made.id, "first")
        second = revoke(database, "two", made.id, "second")
    assert (second.revoked_by, second.revoked_reason, second.revoked_at) == ("one", "first", first.revoked_at)


ANA = Person("ana", frozenset({"readers"}))
SCANS = Terms("scans", AccessCondition.DOWNLOAD)


def held(database, person, now):
    return leases(grants_of(database, person), person, [SCANS], purpose=None, condition=AccessCondition.IN_SITU_PROCESSING, now=now)


def test_a_session_opens_leases_and_a_new_start_replaces_them(url):
    now = datetime.now(UTC)
    with records.opened(url) as database:
        made = add(database, "s", NewGrant(subject="ana", dataset="scans", reason="study"), KNOWN)
        open_leases(database, "ana", "", held(database, ANA, now), now, purpose="DUO:0000042")
        open_leases(database, "ana", "second", held(database, ANA, now), now)
    with records.opened(url) as database:
        assert [(row.server, row.dataset, row.grant_id, row.purpose) for row in running(database)] == [
            ("", "scans", made.id, "DUO:0000042"),
            ("second", "scans", made.id, None),
        ]
        open_leases(database, "ana", "", [], now)
        assert [row.server for row in of_person(database, "ana")] == ["second"]
        assert of_person(database, "bob") == []
        close_leases(database, "ana", "second", now)
        assert running(database) == []


def visa(until, dataset="scans", asserted=None, issuer="https://rems/"):
    return VisaGrant(dataset, issuer, "https://data/scans", "https://dac", asserted or datetime.now(UTC), until)


def active(url):
    with records.opened(url) as database:
        return [(one.until, one.source) for one in listed(database, ANA) if one.revoked_at is None]


def test_a_visas_grant_follows_the_passport(url):
    now = datetime.now(UTC).replace(microsecond=0)
    soon, later, much_later = (now + timedelta(minutes=minutes) for minutes in (30, 45, 600))
    with records.opened(url) as database:
        sync(database, "ana", [visa(soon)], [], now)
    assert active(url) == [(soon, "visa")]
    with records.opened(url) as database:
        sync(database, "ana", [visa(later)], [], now)  # signed anew: recorded when it matters
    assert active(url) == [(soon, "visa")]
    with records.opened(url) as database:
        sync(database, "ana", [visa(much_later)], [], now)
    assert active(url) == [(much_later, "visa")]
    with records.opened(url) as database:
        sync(database, "ana", [visa(soon)], [], now)  # a shorter end counts at once
    assert active(url) == [(soon, "visa")]
    with records.opened(url) as database:
        sync(database, "ana", [], ["https://rems/"], now)  # nothing is known of the issuer: as it was
        sync(database, "ana", [], ["https://other/"], soon)  # ended by itself: nothing to revoke
    assert active(url) == [(soon, "visa")]
    with records.opened(url) as database:
        sync(database, "ana", [], [], now)
    assert active(url) == []
    with records.opened(url) as database:
        sync(database, "ana", [visa(soon)], [], now)  # back in the passport
        actions = [event.action for event in audit.events(database)]
    assert active(url) == [(soon, "visa")]
    assert actions == ["grant.add", "grant.renew", "grant.renew", "grant.revoke", "grant.add"]


def test_what_a_steward_revoked_comes_back_only_by_a_newer_assertion(url):
    now = datetime.now(UTC)
    end, before, after = now + timedelta(hours=1), now - timedelta(hours=1), now + timedelta(hours=1)
    with records.opened(url) as database:
        sync(database, "ana", [visa(end, asserted=before)], [], now)
        revoke(database, "steward", listed(database)[0].id, "misuse", for_cause=True)
        sync(database, "ana", [visa(end, asserted=before)], [], now)
    assert active(url) == []
    with records.opened(url) as database:
        sync(database, "ana", [visa(end, asserted=after)], [], now)
    assert active(url) == [(end, "visa")]


def test_visas_of_one_person_are_not_anothers(url):
    now = datetime.now(UTC)
    with records.opened(url) as database:
        sync(database, "ana", [visa(now + timedelta(hours=1))], [], now)
        sync(database, "bob", [], [], now)
        add(database, "s", NewGrant(subject="ana", dataset="scans", reason="study"), KNOWN)
        sync(database, "ana", [visa(now + timedelta(hours=1))], [], now)
    assert sorted(source for _, source in active(url)) == ["steward", "visa"]


def test_people_see_events_of_their_own_and_not_those_of_a_dataset_of_that_name(url):
    with records.opened(url) as database:
        audit.record(database, "scans", "job.submit", "far", {})
        audit.record(database, "hub", "session.stop", "scans", {})
        audit.record(database, "steward", "grant.add", "scans", {"subject": "ana"})
        audit.record(database, "ana", "session.start", "ana", {})
        assert [event.number for event in audit.events(database, person="scans")] == [1, 2]
        assert [event.number for event in audit.events(database, person="ana")] == [4]
