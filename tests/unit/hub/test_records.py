"""Records, grants and the audit chain, on SQLite in a folder."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError as DatabaseIntegrityError

from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError, StorageError
from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, Person, add, grants_of, listed, revoke

KNOWN = {"scans"}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/hub/records.sqlite"


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
    with pytest.raises(DatabaseIntegrityError, match="append-only"), records.opened(url) as database:
        database.execute(text(change))
    with records.opened(url) as database:
        database.execute(text("DROP TRIGGER audit_no_update"))
        database.execute(text("DROP TRIGGER audit_no_delete"))
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
