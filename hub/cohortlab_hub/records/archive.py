"""A backup of the records: all tables at one moment, from SQLite or PostgreSQL and into either.

The archive is a ZIP with ``tables/<name>.jsonl`` (a row a line, columns by name, times as ISO 8601 in UTC) and ``manifest.json``:
revision of the schema, rows and SHA-256 of each table, length and last digest of the audit chain, and where the workbench has a key
(that of its federation) the key's signature over all of it. So a changed archive is noticed even where its digests were changed with it.

It holds names and grants: keep it as you keep the database. JupyterHub's own database (who is signed in, which sessions run) and the keys
are not in it, nor what the workbench only sees: which sites were heard, how many GPUs there are.
"""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Column, Connection, DateTime, Engine, MetaData, Table, insert, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cohortlab.errors import IntegrityError, NotFoundError, RefusedError, StorageError
from cohortlab.keys import PrivateKey, PublicKey, canonical_json
from cohortlab_hub.records.database import READ_ONLY, engine
from cohortlab_hub.records.migrate import downgrade, knows, migrate, revision_of

_MANIFEST: Final = "manifest.json"
_NOT_OURS: Final = {"alembic_version"}
_FLEETING: Final = {"job_sites", "gpu_kinds"}  # what is seen now: a workbench writes it anew as soon as it runs
_BATCH: Final = 500
_LARGEST: Final = 1 << 30  # bytes of one line or manifest: beyond it, it is none of ours


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableSummary(_Part):
    """One table of an archive."""

    rows: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Signature(_Part):
    """Ed25519 over the canonical JSON of the manifest without this field."""

    key_id: str
    value: str


class Summary(_Part):
    """The manifest of an archive. `audit_digest`: of the last event; compare it with what was noted elsewhere."""

    format: Literal["cohortlab-records-1"] = "cohortlab-records-1"
    created: str
    revision: str
    tables: dict[str, TableSummary]
    audit_events: int = Field(ge=0)
    audit_digest: str
    signature: Signature | None = None

    @property
    def message(self) -> bytes:
        """What is signed."""
        return canonical_json(self.model_dump(exclude={"signature"}))


def dump(url: str, file: Path, key: PrivateKey | None) -> Summary:
    """Write an archive of the records at `url` to `file`, which appears whole or not at all, for its owner only.

    Raises `RefusedError` when `file` is there, `IntegrityError` when the audit chain is broken, `StorageError`.
    """
    if file.exists():
        raise RefusedError(f"{file} is there already.", hint="Give another name: a backup does not replace one.")
    place = _file_of(url)
    if place is not None and not place.is_file():
        raise NotFoundError("There are no records yet.", hint="Look at `state` and `database` in workbench.yaml.")
    with _opened(url) as made, _part_of(file) as part, made.connect() as connection:
        return _dump(connection, part, key)


def _dump(connection: Connection, part: Path, key: PrivateKey | None) -> Summary:
    postgres = connection.dialect.name == "postgresql"
    connection = connection.execution_options(
        **({"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if postgres else READ_ONLY)
    )
    with connection.begin():
        there = revision_of(connection)
        if there is None:
            raise NotFoundError("There are no records in this database.", hint="Look at `database` in workbench.yaml.")
        events, digest = _chain(connection)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            tables = {table.name: _write(connection, table, archive) for table in _tables(connection)}
            summary = Summary(
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                revision=there,
                tables=tables,
                audit_events=events,
                audit_digest=digest,
            )
            if key is not None:
                summary = summary.model_copy(update={"signature": Signature(key_id=key.public.id, value=key.sign(summary.message))})
            archive.writestr(_MANIFEST, summary.model_dump_json(indent=2))
    return summary


def _write(connection: Connection, table: Table, archive: zipfile.ZipFile) -> TableSummary:
    digest, rows = hashlib.sha256(), 0
    keys = list(table.primary_key.columns)
    with archive.open(_name(table), "w", force_zip64=True) as out:
        for row in connection.execution_options(yield_per=_BATCH).execute(select(table).order_by(*keys)).mappings():
            line = canonical_json({name: _out(value) for name, value in row.items()}) + b"\n"
            digest.update(line)
            out.write(line)
            rows += 1
    return TableSummary(rows=rows, sha256=digest.hexdigest())


def check(file: Path, trusted: PublicKey | None) -> Summary:
    """The manifest of an archive whose every digest is right, and with `trusted` its signature.

    Raises `NotFoundError` and `IntegrityError`.
    """
    if not file.is_file():
        raise NotFoundError(f"There is no file {file}.")
    try:
        with zipfile.ZipFile(file) as archive:
            summary = Summary.model_validate_json(_read(archive, _MANIFEST))
            expected = {_MANIFEST, *(f"tables/{name}.jsonl" for name in summary.tables)}
            if sorted(archive.namelist()) != sorted(expected):
                raise IntegrityError(f"{file} does not hold what its manifest says.", hint="Take another backup.")
            for name, table in summary.tables.items():
                digest, rows = hashlib.sha256(), 0
                with archive.open(f"tables/{name}.jsonl") as lines:
                    for line in lines:
                        digest.update(line)
                        rows += 1
                if (digest.hexdigest(), rows) != (table.sha256, table.rows):
                    raise IntegrityError(f"The table {name} in {file} was changed.", hint="Take another backup.")
    except (zipfile.BadZipFile, ValidationError, KeyError, EOFError):
        raise IntegrityError(f"{file} is no backup of records, or it is damaged.", hint="Take another backup.") from None
    if trusted is not None:
        if summary.signature is None:
            raise IntegrityError(f"{file} is not signed by this workbench's key.", hint="With --unsigned it is taken all the same.")
        trusted.verify(summary.signature.value, summary.message)
    return summary


def restore(url: str, file: Path, trusted: PublicKey | None) -> Summary:
    """Put the archive `file` into the empty database at `url`, in one transaction, and verify the audit chain in it.

    An archive of an older version is brought up to date afterwards. Raises `RefusedError` when the database holds anything,
    `IntegrityError` for a changed archive or a broken chain (nothing is then restored), `NotFoundError`, `StorageError`.
    """
    summary = check(file, trusted)
    place = _file_of(url)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
    with _opened(url) as made:
        with made.connect() as connection:
            _refuse_full(connection)
            there = revision_of(connection)
        if not knows(summary.revision):
            raise IntegrityError(f"{file} is of another version of Cohortlab.", hint="Restore it with that version, then update.")
        if there != summary.revision:
            if there is not None:  # it is empty, and of another version
                downgrade(url)
            migrate(url, summary.revision)
        with made.begin() as connection, zipfile.ZipFile(file) as archive:
            tables = _tables(connection)
            for table in reversed(tables):  # nobody else writes until we are done
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f'LOCK TABLE "{table.name}" IN EXCLUSIVE MODE')
            _refuse_full(connection)
            if set(summary.tables) != {table.name for table in tables}:
                raise IntegrityError(f"{file} does not have the tables of its revision.", hint="Take another backup.")
            for table in tables:
                _load(connection, table, archive)
            if _chain(connection) != (summary.audit_events, summary.audit_digest):
                raise IntegrityError("The audit chain is not the one that was backed up.", hint="Take another backup.")
    migrate(url)
    return summary


def _load(connection: Connection, table: Table, archive: zipfile.ZipFile) -> None:
    rows: list[dict[str, Any]] = []
    with archive.open(_name(table)) as lines:
        for line in io.TextIOWrapper(lines, encoding="utf-8"):
            rows.append({name: _in(table.c[name], value) for name, value in json.loads(line).items()})
            if len(rows) == _BATCH:
                connection.execute(insert(table), rows)
                rows = []
    if rows:
        connection.execute(insert(table), rows)


def _tables(connection: Connection) -> list[Table]:
    """The tables that are backed up, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name not in _NOT_OURS | _FLEETING]


def _refuse_full(connection: Connection) -> None:
    full = [table.name for table in _tables(connection) if connection.execute(select(table).limit(1)).first() is not None]
    if full:
        raise RefusedError(
            f"The database holds records already ({', '.join(full)}).", hint="Restore into an empty one, with the workbench stopped."
        )


def _chain(connection: Connection) -> tuple[int, str]:
    from cohortlab_hub import audit  # noqa: PLC0415 - that room stands on this one

    with Session(connection) as session:
        return audit.verify(session)


def _out(value: Any) -> Any:
    if isinstance(value, datetime):  # SQLite forgets that it was UTC
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return value


def _in(column: Column[Any], value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(column.type, DateTime) and isinstance(value, str) else value


def _name(table: Table) -> str:
    return f"tables/{table.name}.jsonl"


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST:
        raise IntegrityError("The archive's manifest is too large.")
    return archive.read(name)


def _file_of(url: str) -> Path | None:
    """The file of an SQLite database."""
    given = make_url(url)
    return Path(given.database) if given.get_backend_name() == "sqlite" and given.database else None


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    made = engine(url)
    try:
        yield made
    except DBAPIError as error:
        raise StorageError(f"The records cannot be read or written: {error.orig}.", hint="Look at `database` in workbench.yaml.") from None
    finally:
        made.dispose()


@contextmanager
def _part_of(file: Path) -> Iterator[Path]:
    """A file beside `file` that becomes it when all went well."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # for its owner only
    except OSError as error:
        raise StorageError(f"{file.parent} cannot be written: {error.strerror}.") from None
    part = Path(name)
    try:
        os.close(descriptor)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
