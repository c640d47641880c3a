"""The jobs room of a running hub: who is connected, who waits, and the watch over deadlines."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from cohortlab.errors import RefusedError
from cohortlab_hub.identity import Caller
from cohortlab_hub.jobs import presence
from cohortlab_hub.jobs.bell import Bell
from cohortlab_hub.jobs.service import Jobs
from cohortlab_hub.records import alone
from cohortlab_hub.settings import Settings

_DEADLINES = "deadlines"
_CLOSING = "closing"
_BEAT = 15.0  # seconds, at most
_RETRY = 5.0
_LONGEST = 3600.0
_log = structlog.get_logger(__name__)


class Room:
    """What the routes share: the jobs, the bell, and when each site was last heard."""

    def __init__(self, jobs: Jobs, sessions: sessionmaker[Session], bell: Bell) -> None:
        self.jobs = jobs
        self.sessions = sessions
        self.bell = bell
        self.started = datetime.now(UTC)
        self._seen: dict[str, datetime] = {}
        self._elsewhere: dict[str, datetime] = {}
        self._connected: Counter[str] = Counter()
        self._closing = False

    @contextmanager
    def present(self, site: str) -> Iterator[None]:
        """The site is connected for as long as this lasts."""
        self._connected[site] += 1
        try:
            yield
        finally:
            self._connected[site] -= 1
            self.hear(site)

    def hear(self, site: str) -> None:
        """The site said something."""
        self._seen[site] = datetime.now(UTC)

    def connected(self, site: str) -> bool:
        """Whether the site listens now, or was heard within the time for which it may be silent, here or by another process."""
        seen = max((heard[site] for heard in (self._seen, self._elsewhere) if site in heard), default=None)
        return self._connected[site] > 0 or (seen is not None and datetime.now(UTC) - seen < self.jobs.limits.silence)

    def seen(self) -> dict[str, datetime]:
        """When this process last heard each site; a connected one is heard now."""
        now = datetime.now(UTC)
        return self._seen | {site: now for site, count in self._connected.items() if count > 0}

    @contextmanager
    def changing(self) -> Iterator[Session]:
        """A transaction that changes jobs, one at a time: their events are numbered, and their states follow from all their sites'."""
        with self.sessions.begin() as database:
            alone(database, "jobs")
            yield database

    def ring(self, *jobs: str) -> None:
        """Tell all who wait for these jobs, and the watch."""
        self.bell.ring(_DEADLINES, *(f"job:{job}" for job in jobs))

    def call(self, *sites: str) -> None:
        """Tell these sites that there is work."""
        self.bell.ring(_DEADLINES, *(f"site:{site}" for site in sites))

    def close(self) -> None:
        """Have the watches end, after what they are at: being cancelled would leave their threads at the records."""
        self._closing = True
        self.bell.ring_here(_DEADLINES, _CLOSING)

    def _sweep(self, seen: dict[str, datetime]) -> tuple[set[str], datetime | None]:
        with self.changing() as database:
            return self.jobs.sweep(database, presence.heard(database, seen), self.started, datetime.now(UTC))

    def _exchange(self, seen: dict[str, datetime]) -> dict[str, datetime]:
        with self.sessions.begin() as database:
            return presence.heard(database, seen)

    async def exchange(self) -> None:
        """Tell the other processes which sites this one hears, and learn which they do, well within their silence. Runs until `close`."""
        beat = min(self.jobs.limits.silence.total_seconds() / 4, _BEAT)
        with self.bell.listen(_CLOSING) as closing:
            while not self._closing:
                closing.clear()  # it rings for other reasons too: when all have to look since something may have been missed
                try:
                    self._elsewhere = await run_in_threadpool(self._exchange, self.seen())
                except SQLAlchemyError as error:
                    _log.warning("jobs.presence", error=type(error).__name__)
                with suppress(TimeoutError):
                    async with asyncio.timeout(beat):
                        await closing.wait()

    async def watch(self) -> None:
        """End what is overdue, when it is: sleep until the next deadline or until something changes. Runs until `close`."""
        with self.bell.listen(_DEADLINES) as heard:
            while not self._closing:
                heard.clear()
                wait = _LONGEST
                try:
                    moved, following = await run_in_threadpool(self._sweep, self.seen())
                except SQLAlchemyError as error:
                    _log.warning("jobs.sweep", error=type(error).__name__)
                    wait = _RETRY
                else:
                    self.bell.ring(*(f"job:{job}" for job in moved))
                    if following is not None:
                        wait = min((following - datetime.now(UTC)).total_seconds(), _LONGEST)
                try:
                    async with asyncio.timeout(max(wait, 0.05)):
                        await heard.wait()
                except TimeoutError:
                    continue


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Open the room for the life of the application, as ``app.state.jobs``; None where there is no federation."""
    settings: Settings = app.state.settings
    app.state.jobs = None
    if settings.federation is None:
        yield
        return
    room = app.state.jobs = Room(Jobs.of(settings), app.state.sessions, app.state.bell)
    watches = [asyncio.create_task(room.watch(), name="jobs-watch"), asyncio.create_task(room.exchange(), name="jobs-presence")]
    try:
        yield
    finally:
        room.close()
        await asyncio.gather(*watches, return_exceptions=True)


def room_of(request: Request) -> Room:
    """FastAPI dependency: the room. Raises `UnavailableError` where there is no federation."""
    room: Room | None = request.app.state.jobs
    return room if room is not None else Room(Jobs.of(request.app.state.settings), request.app.state.sessions, request.app.state.bell)


def site_of(caller: Caller, request: Request) -> str:
    """FastAPI dependency: the name of the site that asks. Raises `RefusedError` for anybody else."""
    settings: Settings = request.app.state.settings
    if caller.kind != "service" or caller.name not in settings.sites:
        raise RefusedError("Only a site of this workbench's federation may ask this.")
    return caller.name
