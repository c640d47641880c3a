"""The jobs room on a real database: deadlines, late words, limits, and migrations that make what the tables say."""

from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.orm import sessionmaker

from cohortlab.errors import InvalidInputError, NotFoundError, RefusedError
from cohortlab.federation.contracts import HistogramResult, JobSpec, JobState, Reason, Release, SiteReport, SiteState
from cohortlab.federation.ticket import read_ticket
from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant
from cohortlab_hub.access import add as add_grant
from cohortlab_hub.access import revoke as revoke_grant
from cohortlab_hub.identity import Principal
from cohortlab_hub.jobs import record, service
from cohortlab_hub.jobs.rules import FinalStateError
from cohortlab_hub.jobs.service import Jobs, job_of
from cohortlab_hub.settings import Settings

ALICE = Principal("alice", "user")
SITES = ("north", "south")
SPEC = JobSpec(dataset="lesions", project="study", parameters={"bins": 2, "low": 0, "high": 2})


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "hub").mkdir()
    (tmp_path / "token").write_text("t")
    key = create_key(tmp_path / "hub.key")
    return Settings.model_validate(
        {
            "state": tmp_path,
            "login": {"kind": "demo", "accounts": {"alice": {}}},
            "trusted_keys": [key.public.text],
            "datasets": {"lesions": {"sites": list(SITES)}},
            "federation": {
                "key": tmp_path / "hub.key",
                "sites": {name: {"token": tmp_path / "token"} for name in SITES},
                "projects": {"study": {"members": ["alice"], "purpose": "DUO:0000007"}},
                "minimum_sites": 1,
                "ticket_seconds": 600,
                "silence_seconds": 60,
            },
        }
    )


@pytest.fixture
def database(settings):
    records.migrate(settings.database_url)
    engine = records.engine(settings.database_url)
    with sessionmaker(engine, expire_on_commit=False)() as session:
        grant = NewGrant(subject="alice", dataset="lesions", condition=AccessCondition.REMOTE_PROCESSING, reason="test")
        session.info["grant"] = add_grant(session, "steward", grant, {"lesions"}).id
        yield session
    engine.dispose()


@pytest.fixture
def jobs(settings):
    return Jobs.of(settings)


def result(**changes):
    values = {"low": 0, "high": 2, "counts": (5, 5), "below": 0, "above": 0, "count": 10, "moments": None, "subjects": 5, "series": 5}
    return HistogramResult(**(values | {"modality": "CT", "region": "all", "minimum_count": 3} | changes))


def word(job, site, state=SiteState.RELEASED, **more):
    ticket = next(ticket for ticket in job.tickets if ticket.site == site)
    given = {"result": result()} if state is SiteState.RELEASED else {"reason": Reason.TOO_FEW_SUBJECTS}
    return ticket.id, Release(ticket=ticket.id, job=job.id, state=state, **(given | more))


def of_this_room(thing, name, kind, *_):
    return (name if kind == "table" else thing.table.name).startswith("job")


def test_the_migrations_make_what_the_tables_say(settings):
    records.migrate(settings.database_url)
    engine = records.engine(settings.database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": of_this_room})
        differences = compare_metadata(context, records.Base.metadata)
    engine.dispose()
    assert differences == []
    records.downgrade(settings.database_url)
    records.migrate(settings.database_url)


def test_a_job_from_submit_to_result(database, jobs):
    job, new = jobs.submit(database, ALICE, SPEC)
    assert (new, job.state, job.purpose) == (True, "queued", "DUO:0000007")
    work, moved = jobs.work(database, "north")
    assert moved == {job.id}
    assert [item.name.job for item in work.items] == [job.id]
    assert job.state == "starting"
    assert jobs.work(database, "north")[0] == work  # until the site says that it has it
    jobs.report(database, "north", work.items[0].name.ticket, SiteReport(state=SiteState.ACCEPTED))
    assert jobs.work(database, "north")[0].items == ()
    jobs.report(database, "north", work.items[0].name.ticket, SiteReport(state=SiteState.RUNNING, progress=0.5))
    jobs.report(database, "north", work.items[0].name.ticket, SiteReport(state=SiteState.ACCEPTED))  # late: changes nothing
    assert (job.state, job.tickets[0].state, job.tickets[0].progress) == ("running", "running", 0.5)
    jobs.release(database, "north", *word(job, "north"))
    with pytest.raises(record.NoResultError, match="no result yet"):
        record.result(job, {})
    jobs.work(database, "south")
    jobs.release(database, "south", *word(job, "south", SiteState.REFUSED))
    assert job.state == "partial"
    answer = record.result(job, {})
    assert (answer.merged.count, answer.job.summary) == (10, "1 of 2 sites")
    events = record.events(database, job, 0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert record.events(database, job, events[-1].seq) == ()
    assert audit.verify(database)[0] >= 4


def test_who_did_not_fetch_is_expired_and_who_fell_silent_is_lost(database, jobs):
    job, _ = jobs.submit(database, ALICE, SPEC)
    jobs.work(database, "north")
    start = job.created
    assert jobs.sweep(database, {}, start, start + timedelta(seconds=59)) == (set(), start + timedelta(seconds=60))
    heard = {"north": start + timedelta(seconds=50)}
    assert jobs.sweep(database, heard, start, start + timedelta(seconds=100))[0] == set()
    assert jobs.sweep(database, heard, start, start + timedelta(seconds=111))[0] == {job.id}
    assert [ticket.state for ticket in job.tickets] == ["lost", "waiting"]
    assert jobs.sweep(database, heard, start, start + timedelta(seconds=600)) == ({job.id}, None)
    assert (job.state, [ticket.reason for ticket in job.tickets]) == ("lost", ["site-silent", "not-fetched"])
    with pytest.raises(FinalStateError):
        jobs.release(database, "north", *word(job, "north"))


def test_after_a_restart_of_the_hub_silence_counts_anew(database, jobs):
    job, _ = jobs.submit(database, ALICE, SPEC)
    jobs.work(database, "north")
    restarted = job.created + timedelta(seconds=500)
    assert jobs.sweep(database, {}, restarted, restarted + timedelta(seconds=1))[0] == set()


def test_an_expired_ticket_is_not_handed_out(database, jobs):
    job, _ = jobs.submit(database, ALICE, SPEC)
    job.expires = job.created - timedelta(seconds=1)
    database.flush()
    assert jobs.work(database, "north")[0].items == ()


@pytest.mark.parametrize(
    "change",
    [
        {"result": result(counts=(5, 5, 0))},
        {"result": result(high=3)},
        {"result": result(modality="MR")},
        {"result": None},
        {"state": SiteState.REFUSED, "reason": None, "result": None},
        {"state": SiteState.REFUSED, "reason": Reason.TIME_LIMIT},
        {"job": "job-" + "0" * 32},
    ],
)
def test_a_release_that_is_not_of_the_job_is_not_taken(database, jobs, change):
    job, _ = jobs.submit(database, ALICE, SPEC)
    jobs.work(database, "north")
    ticket, release = word(job, "north")
    with pytest.raises(InvalidInputError):
        jobs.release(database, "north", ticket, release.model_copy(update=change))
    assert job.tickets[0].state == "sent"


def test_the_last_word_can_be_repeated_but_not_changed(database, jobs):
    job, _ = jobs.submit(database, ALICE, SPEC)
    with pytest.raises(InvalidInputError, match="never fetched"):
        jobs.release(database, "north", *word(job, "north"))
    jobs.work(database, "north")
    jobs.release(database, "north", *word(job, "north"))
    jobs.release(database, "north", *word(job, "north", result=result(counts=(9, 1))))
    assert '"counts":[5,5]' in job.tickets[0].release
    with pytest.raises(FinalStateError):
        jobs.release(database, "north", *word(job, "north", SiteState.REFUSED))
    with pytest.raises(NotFoundError):
        jobs.release(database, "south", *word(job, "north"))


def test_cancel_waits_for_the_sites_that_have_a_ticket(database, jobs):
    job, _ = jobs.submit(database, ALICE, SPEC)
    work, _ = jobs.work(database, "north")
    jobs.cancel(database, ALICE, job)
    jobs.cancel(database, ALICE, job)
    assert [ticket.state for ticket in job.tickets] == ["sent", "cancelled"]
    assert jobs.work(database, "south")[0].cancel == ()
    again, _ = jobs.work(database, "north")
    assert (again.items, [name.ticket for name in again.cancel]) == ((), [work.items[0].name.ticket])
    jobs.release(database, "north", *word(job, "north", SiteState.CANCELLED))
    assert job.state == JobState.CANCELLED
    with pytest.raises(FinalStateError):
        jobs.cancel(database, ALICE, job)


def test_what_is_refused_at_submission(database, jobs, monkeypatch):
    bob, site = Principal("bob", "user"), Principal("north", "service")
    for who, spec, kind in (
        (bob, SPEC, RefusedError),
        (site, SPEC, RefusedError),
        (ALICE, SPEC.model_copy(update={"purpose": "DUO:0000042"}), InvalidInputError),
        (ALICE, SPEC.model_copy(update={"sites": ("east",)}), NotFoundError),
        (ALICE, SPEC.model_copy(update={"task": "train"}), NotFoundError),
        (ALICE, SPEC.model_copy(update={"parameters": {"bins": -1}}), InvalidInputError),
    ):
        with pytest.raises(kind):
            jobs.submit(database, who, spec)
    monkeypatch.setattr(service, "MAX_OPEN", 1)
    job, _ = jobs.submit(database, ALICE, SPEC)
    with pytest.raises(RefusedError, match="under way"):
        jobs.submit(database, ALICE, SPEC)
    assert job_of(database, ALICE, job.id) is job
    for who in (bob, site):
        with pytest.raises(NotFoundError):
            job_of(database, who, job.id)
    revoke_grant(database, "steward", database.info["grant"], "study ended")
    with pytest.raises(RefusedError, match="study ended"):
        jobs.submit(database, ALICE, SPEC)
    assert jobs.datasets_of(database, service.Person("alice")) == {}


def test_a_ticket_is_not_handed_out_once_the_access_was_revoked(database, jobs):
    job, _ = jobs.submit(database, ALICE, SPEC)
    jobs.work(database, "north")
    revoke_grant(database, "steward", database.info["grant"], "study ended")
    assert jobs.work(database, "south")[0].items == ()
    assert [(ticket.state, ticket.reason) for ticket in job.tickets] == [("sent", None), ("refused", "access-ended")]


def test_a_ticket_is_not_good_beyond_the_grant(database, jobs):
    revoke_grant(database, "steward", database.info["grant"], "another one")
    until = datetime.now(UTC) + timedelta(seconds=300)
    grant = NewGrant(subject="staff", subject_kind="group", dataset="lesions", condition="REMOTE_PROCESSING", until=until, reason="test")
    add_grant(database, "steward", grant, {"lesions"})
    job, _ = jobs.submit(database, Principal("alice", "user", frozenset({"staff"})), SPEC)
    item = jobs.work(database, "north")[0].items[0]
    ticket = read_ticket(item.ticket, [jobs.key.public])
    assert job.expires == until
    assert ticket.exp == int(until.timestamp())


def test_the_same_key_is_the_same_job_and_another_request_is_refused(database, jobs):
    keyed = SPEC.model_copy(update={"idempotency_key": "k"})
    first, new = jobs.submit(database, ALICE, keyed)
    assert new
    assert jobs.submit(database, ALICE, keyed) == (first, False)
    with pytest.raises(InvalidInputError, match="another job"):
        jobs.submit(database, ALICE, keyed.model_copy(update={"sites": ("north",)}))


def test_a_flood_of_reports_does_not_fill_the_records(database, jobs, monkeypatch):
    monkeypatch.setattr(record, "MAX_EVENTS", 12)
    job, _ = jobs.submit(database, ALICE, SPEC)
    ticket = jobs.work(database, "north")[0].items[0].name.ticket
    for step in range(100):
        jobs.report(database, "north", ticket, SiteReport(state=SiteState.RUNNING, progress=step / 100))
    assert len(record.events(database, job, 0)) == 12
    jobs.release(database, "north", *word(job, "north"))
    assert record.events(database, job, 12)[0].state == "released"
    assert job.tickets[0].progress == 1.0


def test_a_person_has_one_pseudonym_and_it_is_no_name(jobs):
    assert jobs.pseudonym("alice") == jobs.pseudonym("alice") != jobs.pseudonym("bob")
    assert "alice" not in jobs.pseudonym("alice")
