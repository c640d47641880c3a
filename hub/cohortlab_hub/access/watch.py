"""The watch over running sessions' leases: decides each again, warns, stops. It runs in the hub's service.

Every few seconds, and at once after a revocation by this service: which sessions run and in which groups their people are (asked
of JupyterHub, which asks the provider), each lease decided anew, warnings as notices in the session, and when their time has
come the session stopped through JupyterHub's REST API. A session without a lease on the dataset is never touched.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from cohortlab.errors import UnavailableError
from cohortlab_hub import audit
from cohortlab_hub.access import held as record
from cohortlab_hub.access.hub_api import HubApi, Signed
from cohortlab_hub.access.revocation import Ends, judge
from cohortlab_hub.access.rules import Decision, Person
from cohortlab_hub.access.tables import LeaseRow
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.identity.settings import OidcLogin
from cohortlab_hub.jobs.bell import Bell
from cohortlab_hub.records import alone
from cohortlab_hub.sessions import notices
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.settings import Settings

_BELL = "leases"
_STARTING = timedelta(seconds=60)  # a lease is recorded before JupyterHub knows its session
_AT_ONCE = 8
_log = structlog.get_logger(__name__)


class Watch:
    """One a workbench. `ring` makes it look now."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], catalogue: Catalogue, hub: HubApi, bell: Bell) -> None:
        self._settings = settings
        self._sessions = sessions
        self._catalogue = catalogue
        self._hub = hub
        self._grace = timedelta(seconds=settings.access.grace_seconds)
        self._bell = bell

    def ring(self) -> None:
        """Something has changed: look now, at every process, since a session is stopped by whichever comes first."""
        self._bell.ring(_BELL)

    async def run(self) -> None:
        """Look, wait, look again, until cancelled."""
        with self._bell.listen(_BELL) as rung:
            while True:
                rung.clear()
                try:
                    await self.look()
                except (UnavailableError, SQLAlchemyError) as error:
                    _log.warning("access.watch", error=type(error).__name__)
                try:
                    async with asyncio.timeout(self._settings.access.check_seconds):
                        await rung.wait()
                except TimeoutError:
                    continue

    async def look(self) -> None:
        """Decide all leases of running sessions once, and do what follows."""
        people = await run_in_threadpool(self._people)
        if not people:
            return
        active = await self._hub.active()
        signed = {name: active.get(name, Signed(name, frozenset())) for name in people}
        if isinstance(self._settings.login, OidcLogin):
            room = asyncio.Semaphore(_AT_ONCE)

            async def fresh(person: Signed) -> Signed:
                async with room:
                    return await self._hub.refreshed(person)

            signed = {person.name: person for person in await asyncio.gather(*map(fresh, signed.values()))}
        for person, server in await run_in_threadpool(self._decide, signed, datetime.now(UTC)):
            if await self._hub.stop(person, server):  # else it is starting or stopping: the next look asks again
                await run_in_threadpool(self._stopped, person, server)

    def _people(self) -> set[str]:
        with self._sessions.begin() as database:
            return {row.person for row in record.running(database)}

    def _decide(self, signed: Mapping[str, Signed], now: datetime) -> list[tuple[str, str]]:
        """Record what becomes of each lease; the sessions that must stop now, as (person, server)."""
        due: list[tuple[str, str]] = []
        terms = {entry.id: entry.terms for entry in self._catalogue.served()}
        with self._sessions.begin() as database:
            alone(database, "leases")  # of two processes that look at once, one warns
            for (name, server), group in groupby(record.running(database), key=lambda row: (row.person, row.server)):
                rows = list(group)
                who = signed.get(name)
                if who is None:  # its lease was opened after the question
                    continue
                if server not in who.servers:
                    if all(now - row.opened > _STARTING for row in rows):
                        record.close_leases(database, name, server, now)
                    continue
                person = Person(name, who.groups)
                grants = self._catalogue.grants(database, person)
                for row in rows:
                    decision = record.decided_again(row, grants, person, terms, now)
                    self._follow(database, row, decision, now, signed_in=who.signed_in)
                if any(row.stops is not None and row.stops <= now for row in rows):
                    due.append((name, server))
        return due

    def _follow(self, database: Session, row: LeaseRow, decision: Decision, now: datetime, *, signed_in: bool) -> None:
        """Warn, change the warning, or take it back."""
        verdict = judge(decision, row.stops, now, self._grace, signed_in=signed_in)
        if isinstance(verdict, Ends):
            if row.warned is None:
                row.warned = now
                details = {"person": row.person, "server": row.server, "stops": verdict.stops.isoformat(), "reason": verdict.reason}
                audit.record(database, "hub", "lease.end", row.dataset, details)
            row.stops, row.reason = verdict.stops, verdict.reason
            text = f"This session has {row.dataset} open and will be stopped: {verdict.reason} Save your work now."
            notices.add(database, row.person, Kind.LEASE, text, subject=row.dataset, server=row.server, stop_at=verdict.stops)
            return
        row.until, row.grant_id = verdict.until, decision.grant or row.grant_id
        if row.warned is not None:
            row.warned = row.stops = row.reason = None
            notices.clear(database, row.person, Kind.LEASE, subject=row.dataset, server=row.server)
            audit.record(database, "hub", "lease.renew", row.dataset, {"person": row.person, "server": row.server})

    def _stopped(self, name: str, server: str) -> None:
        with self._sessions.begin() as database:
            alone(database, "leases")
            rows = [row for row in record.of_person(database, name) if row.server == server]
            if not rows:  # another process has stopped it at the same time
                return
            why = {row.dataset: row.reason for row in rows if row.reason}
            audit.record(database, "hub", "session.stop", name, {"server": server, "no_lease": why})
            record.close_leases(database, name, server, datetime.now(UTC))


@asynccontextmanager
async def running(app: FastAPI, hub: HubApi | None) -> AsyncIterator[None]:
    """Keep watch for the life of the application, as ``app.state.watch``; None without a token of JupyterHub's, as in a unit test."""
    app.state.watch = None
    if hub is None:
        yield
        return
    watch = app.state.watch = Watch(app.state.settings, app.state.sessions, app.state.catalogue, hub, app.state.bell)
    task = asyncio.create_task(watch.run(), name="access-watch")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await hub.close()
