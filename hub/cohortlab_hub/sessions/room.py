"""The sessions of a running hub, looked at together: who waits for GPUs, who is warned, who is stopped.

One room a hub process, one look every few seconds (`access.check_seconds`) and at once when somebody asks, in one transaction in
a thread: with 300 sessions the hub's event loop does not notice, and the database has one reader instead of 300. Other
processes (the service's routes) speak to the room through the records: a request that is ``left`` there is left here at the next
look. The rules are pure and elsewhere (`queue`, `keeper`); this is the shell.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from weakref import WeakValueDictionary

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from cohortlab_hub import audit, records
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.jobs.bell import Bell
from cohortlab_hub.sessions import gpus, keeper, notices
from cohortlab_hub.sessions.gpus import GpuPod, Look, Seen
from cohortlab_hub.sessions.keeper import Life
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.sessions.profiles import Choice
from cohortlab_hub.sessions.queue import Place, Start
from cohortlab_hub.sessions.tables import NoticeRow
from cohortlab_hub.settings import Settings

_log = structlog.get_logger(__name__)
_NODES_SECONDS = 30.0
_WATCH_IS_AWAY = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Running:
    """A session that runs or starts, as a look sees it. `life`: None where no limit is kept; `ticket`: its request for GPUs."""

    person: str
    server: str
    ready: bool
    life: Life | None
    ticket: str | None = None


class Spawner(Protocol):
    """What the room needs of a spawner."""

    def seen(self) -> Running | None:
        """How it is now; None: there is no session."""

    async def end(self, why: str) -> None:
        """Stop the session, and tell JupyterHub."""


@dataclass(eq=False)
class Waiter:
    """Somebody who waits for GPUs. `outcome`: a `Start`, the name of a profile to take instead, or None: they left."""

    ticket: str
    outcome: "asyncio.Future[Start | str | None]"
    place: Place | None = None
    whose: str = ""


@dataclass(frozen=True, slots=True)
class _Result:
    look: Look | None
    stop: tuple[tuple[str, str, str], ...]  # person, server, why


class Room:
    """What the spawners of this process share. `of` makes it, `open` starts its looks."""

    _rooms: "dict[asyncio.AbstractEventLoop, Room]" = {}  # noqa: RUF012 - one a loop, as long as the process lives

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        engine = records.engine(settings.database_url)
        self.records: sessionmaker[Session] = sessionmaker(engine, expire_on_commit=False)
        self.catalogue = Catalogue(settings)
        self.spawners: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()
        self.count_nodes: Callable[[], Awaitable[Mapping[str, int]]] | None = None
        self.gpu_pods: Callable[[], list[GpuPod]] = list
        self.bell = Bell()
        self._waiters: dict[str, Waiter] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping: set[tuple[str, str]] = set()
        self._counted: tuple[float, Mapping[str, int]] | None = None
        self._jobs: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, settings: Settings) -> "Room":
        """The room of this process' event loop."""
        loop = asyncio.get_running_loop()
        if loop not in cls._rooms:
            cls._rooms[loop] = cls(settings)
        return cls._rooms[loop]

    def open(self) -> None:
        """Look from now on."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="sessions-room")

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def transact[T](self, action: Callable[[Session], T]) -> T:
        """Run `action` in one transaction in a thread."""

        def run() -> T:
            with self.records.begin() as database:
                return action(database)

        return await asyncio.to_thread(run)

    # -- the queue

    async def ask(self, person: str, server: str, choice: Choice) -> Waiter:
        """A place in the queue for `choice`. `wait` for its outcome."""
        now, rules = datetime.now(UTC), self.settings.queue
        ticket = await self.transact(lambda database: gpus.ask(database, person, server, choice, queue_settings=rules, now=now))
        waiter = self._waiters[ticket] = Waiter(ticket, asyncio.get_running_loop().create_future(), whose=f"{person}/{server}")
        self.open()
        self.wake()
        return waiter

    async def wait(self, waiter: Waiter) -> Start | str | None:
        """The outcome. Being cancelled leaves the request as it is: a hub that ends keeps everybody's place, see `close` for a stop."""
        try:
            return await waiter.outcome
        finally:
            self._waiters.pop(waiter.ticket, None)
            self.wake()

    def waiter(self, person: str, server: str) -> Waiter | None:
        """Who waits for this session."""
        spawner = self.spawners.get((person, server))
        return None if spawner is None else spawner.waiter

    def settle(self, waiter: Waiter, outcome: Start | str | None) -> None:
        """End the wait of `waiter` with `outcome`."""
        if not waiter.outcome.done():
            waiter.outcome.set_result(outcome)

    async def finish(self, ticket: str) -> None:
        """Nobody waits for this request any more, nor has its GPUs."""
        await self.transact(lambda database: gpus.finish(database, ticket))
        self.wake()

    def close(self, person: str, server: str, ticket: str | None) -> asyncio.Task[None]:
        """A session has ended: end its notices, and give its GPUs to who is next. It is done when the task is."""

        def close(database: Session) -> None:
            notices.close(database, person, server)
            if ticket:
                gpus.finish(database, ticket)

        async def run() -> None:
            await self.transact(close)
            self.wake()

        return self._in_background(run())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return task

    async def totals(self) -> dict[str, int]:
        """How many GPUs there are of each kind: as workbench.yaml says, or as the nodes have."""
        kinds = self.settings.gpus
        counted: Mapping[str, int] = {}
        if self.count_nodes is not None and any(kind.total is None for kind in kinds.values()):
            time = asyncio.get_running_loop().time()
            if self._counted is None or time - self._counted[0] > _NODES_SECONDS:
                self._counted = (time, await self.count_nodes())
            counted = self._counted[1]
        return {name: kind.total if kind.total is not None else counted.get(name, 0) for name, kind in kinds.items()}

    # -- the look

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except SQLAlchemyError as error:
                _log.warning("sessions.look", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.access.check_seconds):
                    await self._wake.wait()

    async def look(self) -> None:
        """Look once: start who is next, tell who waits, warn and stop who must be."""
        running = [seen for spawner in list(self.spawners.values()) if (seen := spawner.seen()) is not None]
        totals = await self.totals()
        waiting = set(self._waiters)
        if not (running or waiting or totals):
            return
        seen = Seen(totals, waiting, {(one.person, one.server) for one in running if one.ticket is not None}, self.gpu_pods())
        now = datetime.now(UTC)
        result = await self.transact(lambda database: self._look(database, running, seen, now))
        if result.look is not None:
            self._tell(result.look)
        for person, server, why in result.stop:
            self._stop(person, server, why)

    def _look(self, database: Session, running: list[Running], seen: Seen, now: datetime) -> _Result:
        looked = gpus.look(database, seen, self.settings.queue, now) if seen.totals else None
        opened, extended = notices.due_and_extended(database, now)
        ready = [one for one in running if one.ready]
        for one in ready:
            self._keep(database, one, opened, extended, now=now)
        self._take_back(database, ready, looked, opened)
        database.flush()
        due = {(row.person, row.server): row for row in notices.due_and_extended(database, now)[0] if _is_due(row, now)}
        stop = []
        for one in ready:
            row = due.get((one.person, one.server))
            if row is not None and (row.person, row.server) not in self._stopping:
                audit.record(database, "hub", "session.stop", row.person, {"kind": row.kind, "subject": row.subject})
                stop.append((row.person, row.server, row.message))
        return _Result(looked, tuple(stop))

    def _keep(self, database: Session, one: Running, opened: list[Any], extended: list[Any], *, now: datetime) -> None:
        if one.life is None:
            return
        name, server = one.person, one.server
        mine = {Kind(row.kind) for row in opened if (row.person, row.server) == (name, server)}
        until: dict[Kind, datetime] = {}
        for row in extended:
            if (row.person, row.server) == (name, server) and row.created_at >= one.life.started:
                until[Kind(row.kind)] = max(row.extend_to, until.get(Kind(row.kind), row.extend_to))
        warning = timedelta(minutes=self.settings.sessions.warning_minutes)
        verdict = keeper.look(one.life, mine, until, now=now, warning=warning)
        for warn in verdict.warn:
            notices.add(database, name, warn.kind, warn.message, server=server, stop_at=warn.stop_at, extend_to=warn.extend_to)
        for kind in verdict.clear:
            notices.clear(database, name, kind, server=server)

    @staticmethod
    def _take_back(database: Session, ready: list[Running], looked: Look | None, opened: list[Any]) -> None:
        if looked is None:
            return
        taken = {one.id: one for plan in looked.plans.values() for one in plan.take_back}
        warned = {(row.person, row.server) for row in opened if row.kind == Kind.BOOKING}
        for one in ready:
            back = taken.get(one.ticket or "")
            if back is not None:
                notices.add(database, one.person, Kind.BOOKING, back.why, server=one.server, stop_at=back.at)
            elif (one.person, one.server) in warned:
                notices.clear(database, one.person, Kind.BOOKING, server=one.server)

    def _tell(self, looked: Look) -> None:
        for ticket in looked.left:
            if ticket in self._waiters:
                self.settle(self._waiters[ticket], None)
        for ticket, profile in looked.instead.items():
            if ticket in self._waiters:
                self.settle(self._waiters[ticket], profile)
        for plan in looked.plans.values():
            for start in plan.start:
                if start.id in self._waiters:
                    self.settle(self._waiters[start.id], start)
            for place in plan.waiting:
                waiter = self._waiters.get(place.id)
                if waiter is not None and waiter.place != place:
                    waiter.place = place
                    self.bell.ring(waiter.whose)

    def _stop(self, person: str, server: str, why: str) -> None:
        spawner = self.spawners.get((person, server))
        if spawner is None:
            return
        self._stopping.add((person, server))

        async def end() -> None:
            try:
                _log.info("sessions.stop", user=person, why=why)
                await spawner.end(why)
            finally:
                self._stopping.discard((person, server))
                self.wake()

        self._in_background(end())


def _is_due(row: NoticeRow, now: datetime) -> bool:
    """Whether the session must be stopped here and now. At the end of a lease the access room's watch does it; if it cannot, we do."""
    if row.stop_at is None:
        return False
    return row.stop_at + (_WATCH_IS_AWAY if row.kind == Kind.LEASE else timedelta()) <= now
