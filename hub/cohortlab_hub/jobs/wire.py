"""Carries the bell between the service's processes, where the records are in PostgreSQL: LISTEN and NOTIFY.

Each process has two connections of its own for it: one hears, one tells. What is told is only a name, such as ``site:north``: who hears it
reads the records. While a process does not hear, it may miss something; so when it hears again, all its listeners look.
With SQLite there is one process, and nothing to carry.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
import structlog
from fastapi import FastAPI
from sqlalchemy import Engine

from cohortlab_hub.jobs.bell import Bell

_CHANNEL: Final = "cohortlab_bell"
_LARGEST: Final = 7000  # characters of a notification; PostgreSQL takes 8000 bytes, and names are ASCII
_RETRY: Final = 1.0  # seconds
# a peer that is gone without a word is noticed within a minute
_ALIVE: Final = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "connect_timeout": 5}
_log = structlog.get_logger(__name__)


class Wire:
    """Connects the `bell` of this process with those of the others at the database of `engine`."""

    def __init__(self, engine: Engine, bell: Bell) -> None:
        _, self._how = engine.dialect.create_connect_args(engine.url)
        self._bell = bell
        self._me = secrets.token_hex(8)
        self._outbox: dict[str, None] = {}  # names in their order, each once
        self._something = asyncio.Event()

    def tell(self, names: tuple[str, ...]) -> None:
        """Have the others ring `names`, soon."""
        self._outbox.update(dict.fromkeys(names))
        self._something.set()

    async def run(self) -> None:
        """Hear and tell, whatever becomes of the database, until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._again(self._hear), name="bell-hear")
            both.create_task(self._again(self._speak), name="bell-tell")

    async def _again(self, work: Any) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**{**_ALIVE, **self._how}, autocommit=True) as connection:
                    await work(connection)
            except psycopg.Error as error:
                _log.warning("bell.wire", error=type(error).__name__)
            await asyncio.sleep(_RETRY)

    async def _hear(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        await connection.execute(f"LISTEN {_CHANNEL}")
        self._bell.ring_all()
        async for notice in connection.notifies():
            sender, *names = json.loads(notice.payload)
            if sender != self._me:
                self._bell.ring_here(*names)

    async def _speak(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._outbox:
                names = _taken(self._outbox)
                try:
                    await connection.execute("SELECT pg_notify(%s, %s)", [_CHANNEL, json.dumps([self._me, *names])])
                except psycopg.Error:
                    self.tell(tuple(names))  # over the next connection
                    raise


def _taken(outbox: dict[str, None]) -> list[str]:
    """As many of the names as one notification holds, at least one, out of the `outbox`."""
    taken: list[str] = []
    length = 0
    for name in outbox:
        length += len(name) + 4
        if taken and length > _LARGEST:
            break
        taken.append(name)
    for name in taken:
        del outbox[name]
    return taken


@asynccontextmanager
async def ringing(app: FastAPI) -> AsyncIterator[None]:
    """The bell of the application, as ``app.state.bell``, carried to other processes where there can be some."""
    bell = app.state.bell = Bell()
    engine: Engine = app.state.sessions.kw["bind"]
    if engine.dialect.name != "postgresql":
        yield
        return
    wire = Wire(engine, bell)
    bell.others = wire.tell
    carrying = asyncio.create_task(wire.run(), name="bell-wire")
    try:
        yield
    finally:
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
