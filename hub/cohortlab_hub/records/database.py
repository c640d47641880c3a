"""Engine and sessions.

SQLite runs in WAL mode with foreign keys on. Its transactions begin IMMEDIATE, since one that reads first and writes
later fails at once when another has written in between; requests that only read begin DEFERRED and wait for nobody.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.orm import Session, sessionmaker

_CONNECT_SECONDS = 5  # PostgreSQL; without it a host that is away is waited for by the minute
_READ_ONLY = "cohortlab_read_only"
READ_ONLY = {_READ_ONLY: True}
"""Execution options of a connection whose transactions only read, and so wait for nobody."""
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def engine(url: str) -> Engine:
    """The engine for a database URL, e.g. ``sqlite:////state/hub/records.sqlite`` or ``postgresql+psycopg://…``."""
    given = make_url(url)
    waits = given.get_backend_name() == "postgresql" and "connect_timeout" not in given.query
    # hide_parameters: an error of the database names no value of a row
    made = create_engine(
        given, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": _CONNECT_SECONDS} if waits else {}
    )
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", _on_connect)
        event.listen(made, "begin", _on_begin)
    return made


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, below
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=15000", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def opened(url: str) -> Iterator[Session]:
    """One transaction on the records at `url`, for commands. Revisions that are missing are run first."""
    from cohortlab_hub.records.migrate import migrate  # noqa: PLC0415 - that module stands on this one

    migrate(url)
    made = engine(url)
    try:
        with sessionmaker(made, expire_on_commit=False).begin() as database:
            yield database
    finally:
        made.dispose()


def sessions(request: Request) -> sessionmaker[Session]:
    """FastAPI dependency: the session factory. Use it as ``with factory.begin() as database:``, never across a wait."""
    factory: sessionmaker[Session] = request.app.state.sessions
    return factory


def alone(session: Session, what: str) -> None:
    """Wait until no other transaction, of any process, is alone with `what`. It ends with the transaction.

    For what reads first and writes after. With SQLite every transaction that may write is alone with everything.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(zlib.crc32(f"cohortlab {what}".encode()))))


@contextmanager
def reading(factory: sessionmaker[Session]) -> Iterator[Session]:
    """One short transaction that only reads and so waits for nobody."""
    with factory.begin() as database:
        database.connection(execution_options=READ_ONLY)
        yield database


def session(request: Request) -> Iterator[Session]:
    """FastAPI dependency: one transaction for the request, read-only for GET."""
    with sessions(request).begin() as database:
        if request.method in _SAFE_METHODS:
            database.connection(execution_options=READ_ONLY)
        yield database


# scope="function": committed before the response is sent, so a client that reads what it wrote finds it.
Database = Annotated[Session, Depends(session, scope="function")]
