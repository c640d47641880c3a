"""Backup and restore of records and audit, between SQLite and PostgreSQL, and what is refused."""

import hashlib
import json
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
import yaml
from postgres import Postgres
from running import MAIN
from sqlalchemy import MetaData, select, text

from cohortlab.errors import IntegrityError, NotFoundError, RefusedError
from cohortlab.keys import create_key
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit, records
from cohortlab_hub.access import NewGrant, add
from cohortlab_hub.access.held import open_leases
from cohortlab_hub.access.rules import Lease
from cohortlab_hub.jobs.tables import EventRow, JobRow, SiteRow, TicketRow
from cohortlab_hub.records import archive
from cohortlab_hub.sessions.tables import BookingRow

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster():
    made = Postgres()
    yield made
    made.stop()


@pytest.fixture
def database(tmp_path, cluster):
    def database(kind, name):
        return cluster.database() if kind == "postgresql" else f"sqlite:///{tmp_path}/{name}/records.sqlite"

    return database


@pytest.fixture
def key(tmp_path):
    return create_key(tmp_path / "hub.key")


def fill(url):
    """A row of each kind of value: times, numbers, booleans, JSON, nothing, text beyond ASCII; tables that refer to others."""
    with records.opened(url) as database:
        add(
            database,
            "Stéward",
            NewGrant(subject="ana", dataset="scans", reason="study “a”\n", until=datetime.now(UTC) + timedelta(1)),
            {"scans"},
        )
        open_leases(database, "ana", "", [Lease("ana", "scans", AccessCondition.DOWNLOAD, NOW, "g")], NOW)
        booking = {"kind": "a100", "count": 2, "project": "p", "start": NOW, "end": NOW, "reason": "r", "booked_by": "t", "booked_at": NOW}
        database.add(BookingRow(id="b", cancelled=True, **booking))
        of_job = {
            "owner": "ana",
            "owner_groups": "[]",
            "dataset": "far",
            "task": "histogram",
            "parameters": "{}",
            "project": "p",
            "purpose": "",
        }
        times = {"created": NOW, "updated": NOW, "expires": NOW}
        database.add(JobRow(id="job-1", state="queued", minimum=1, cancelling=False, asked="x", **of_job, **times))
        database.flush()
        database.add(TicketRow(id="t", job_id="job-1", site="north", token="t", state="running", progress=0.25))  # noqa: S106 - no secret
        database.add(EventRow(job_id="job-1", seq=1, time=NOW, site="", state="queued", progress=0.0))
        for number in range(1200):  # more than one batch
            audit.record(database, "ana", "test.write", "x", {"number": number})


def content(url):
    """All rows of all tables, as values that both databases give alike."""
    engine = records.engine(url)
    metadata = MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        found = {}
        for table in metadata.sorted_tables:
            rows = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            found[table.name] = [{name: archive._out(value) for name, value in row.items()} for row in rows]
    engine.dispose()
    return found


@pytest.mark.parametrize(("before", "after"), list(product(["sqlite", "postgresql"], repeat=2)))
def test_what_was_backed_up_is_restored_to_the_letter(database, tmp_path, key, before, after):
    old, new, file = database(before, "old"), database(after, "new"), tmp_path / "backup.zip"
    fill(old)
    written = archive.dump(old, file, key)
    assert file.stat().st_mode & 0o777 == 0o600
    assert archive.restore(new, file, key.public) == written
    assert content(new) == content(old)
    with records.opened(new) as session:
        assert audit.verify(session) == (written.audit_events, written.audit_digest)
        audit.record(session, "ana", "test.write", "after", {})  # the chain goes on
    with pytest.raises(Exception, match="append-only"), records.opened(new) as session:
        session.execute(text("UPDATE audit_events SET actor = 'eve' WHERE number = 1"))


def test_a_full_database_is_left_alone(database, tmp_path, key):
    url, file = database("sqlite", "old"), tmp_path / "backup.zip"
    fill(url)
    archive.dump(url, file, key)
    before = content(url)
    with pytest.raises(RefusedError, match="holds records already"):
        archive.restore(url, file, key.public)
    assert content(url) == before
    with pytest.raises(RefusedError, match="is there already"):
        archive.dump(url, file, key)


def test_what_a_workbench_only_sees_is_neither_kept_nor_in_the_way(database, tmp_path):
    old, new, file = database("sqlite", "old"), database("sqlite", "new"), tmp_path / "backup.zip"
    for url, site in ((old, "north"), (new, "south")):
        with records.opened(url) as session:
            session.add(SiteRow(site=site, heard=NOW))
    archive.dump(old, file, None)
    archive.restore(new, file, None)
    assert [row["site"] for row in content(new)["job_sites"]] == ["south"]


def changed(file, change):
    """The archive with one of its parts changed."""
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    change(parts)
    with zipfile.ZipFile(file, "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)


def row(parts):
    parts["tables/grants.jsonl"] = parts["tables/grants.jsonl"].replace(b'"ana"', b'"eve"')


def more(parts):
    parts["tables/extra.jsonl"] = b"{}\n"


def less(parts):
    del parts["tables/leases.jsonl"]


def manifest(parts):
    document = json.loads(parts["manifest.json"])
    parts["manifest.json"] = json.dumps(document | {"audit_digest": "0" * 64}).encode()


def resigned(parts):
    document = json.loads(parts["manifest.json"])
    document["signature"]["value"] = document["signature"]["value"][::-1]
    parts["manifest.json"] = json.dumps(document).encode()


def unsigned(parts):
    document = json.loads(parts["manifest.json"])
    parts["manifest.json"] = json.dumps(document | {"signature": None}).encode()


@pytest.mark.parametrize("change", [row, more, less, manifest, resigned, unsigned])
def test_a_changed_archive_is_refused_before_anything_is_touched(database, tmp_path, key, change):
    url, file = database("sqlite", "old"), tmp_path / "backup.zip"
    with records.opened(url) as session:
        add(session, "steward", NewGrant(subject="ana", dataset="scans", reason="study"), {"scans"})
    archive.dump(url, file, key)
    changed(file, change)
    with pytest.raises(IntegrityError):
        archive.restore(database("sqlite", "new"), file, key.public)
    assert not (tmp_path / "new").exists()


def test_a_chain_that_was_forged_before_the_backup_is_not_restored(database, tmp_path):
    """Without the key, digests and manifest can be made anew: the chain itself is verified in the database that was restored."""
    url, new, file = database("sqlite", "old"), database("sqlite", "new"), tmp_path / "backup.zip"
    with records.opened(url) as session:
        for number in range(3):
            audit.record(session, "ana", "test.write", "x", {"number": number})
    archive.dump(url, file, None)

    def forge(parts):
        name = "tables/audit_events.jsonl"
        parts[name] = parts[name].replace(b'"ana"', b'"eve"', 1)
        document = json.loads(parts["manifest.json"])
        document["tables"]["audit_events"]["sha256"] = hashlib.sha256(parts[name]).hexdigest()
        parts["manifest.json"] = json.dumps(document).encode()

    changed(file, forge)
    with pytest.raises(IntegrityError, match="broken at event 1"):
        archive.restore(new, file, None)
    assert not any(content(new)[table] for table in content(new) if table != "alembic_version")


def test_an_older_archive_is_brought_up_to_date_and_a_newer_one_refused(database, tmp_path):
    old, new, file = database("sqlite", "old"), database("sqlite", "new"), tmp_path / "backup.zip"
    records.migrate(old, "0003")
    engine = records.engine(old)
    with engine.begin() as connection:
        row = {"id": "g", "subject_kind": "person", "subject": "ana", "dataset": "scans", "condition": "DOWNLOAD", "reason": "r"}
        columns = {**row, "granted_by": "s", "granted_at": "2026-01-01 00:00:00.000000"}
        connection.execute(text(f"INSERT INTO grants ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"), columns)  # noqa: S608
    engine.dispose()
    archive.dump(old, file, None)
    records.migrate(new)  # the workbench ran once, and is empty
    archive.restore(new, file, None)
    assert [one["subject"] for one in content(new)["grants"]] == ["ana"]
    newest = records.engine(new)
    assert not records.behind(newest)
    newest.dispose()

    def from_the_future(parts):
        document = json.loads(parts["manifest.json"])
        parts["manifest.json"] = json.dumps(document | {"revision": "9999"}).encode()

    changed(file, from_the_future)
    with pytest.raises(IntegrityError, match="another version"):
        archive.restore(database("sqlite", "newer"), file, None)


def test_no_archive_is_one_sentence(database, tmp_path):
    with pytest.raises(NotFoundError, match="no file"):
        archive.check(tmp_path / "nothing.zip", None)
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(IntegrityError, match="no backup"):
        archive.check(tmp_path / "text.zip", None)
    with pytest.raises(NotFoundError, match="no records"):
        archive.dump(database("sqlite", "empty"), tmp_path / "b.zip", None)
    assert not list(tmp_path.glob("*b.zip*"))


def test_as_an_operator_does_it(tmp_path, key):
    (tmp_path / "north").write_text("t0ken")
    document = {
        "state": "one",
        "login": {"kind": "demo", "accounts": {"ana": {}}},
        "trusted_keys": [key.public.text],
        "datasets": {"scans": {"sites": ["north"]}},
        "federation": {"key": "hub.key", "sites": {"north": {"token": "north"}}},
    }
    files = []
    for state in ("one", "two"):
        files.append(tmp_path / f"{state}.yaml")
        files[-1].write_text(yaml.safe_dump(document | {"state": state}))
    url = f"sqlite:///{tmp_path}/one/hub/records.sqlite"
    with records.opened(url) as session:
        add(session, "steward", NewGrant(subject="ana", dataset="scans", reason="study"), {"scans"})
    (tmp_path / "kept").mkdir()
    old = [tmp_path / "kept" / f"records-2026010{day}T000000Z.zip" for day in (1, 2, 3)]
    for file in [*old, tmp_path / "kept" / "other.zip"]:
        file.write_text("x")

    def run(*arguments):
        return subprocess.run([*MAIN, *map(str, arguments), "--json"], capture_output=True, text=True, check=False)

    made = run("backup", tmp_path / "kept", "--keep", "2", "--workbench", files[0])
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["events"], told["signed"]) == (1, True)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted(["other.zip", old[-1].name, told["file"].split("/")[-1]])
    back = run("restore", told["file"], "--workbench", files[1])
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["last_digest"] == told["last_digest"]
    again = run("restore", told["file"], "--workbench", files[1])
    assert again.returncode == 1
    assert "holds records already" in again.stderr
