"""The pixels room of a running hub: the gateway over the workbench's stores, threads that read, and the count for the audit.

An audit event says that a person began to look at a dataset (``pixels.open``, with the grant, before the first pixel goes out); further
ones sum up, once a minute and when the hub stops, what went out (``pixels.read``: answers, bytes, series, cases), never slice by slice.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from cohortlab.errors import CohortlabError, InvalidInputError, NotFoundError, UnavailableError
from cohortlab.viewer.answers import BusyError, Stop
from cohortlab.viewer.api import Api, Asked, Reply, datasets_of, problem, split
from cohortlab.viewer.tally import Tally
from cohortlab_hub import audit
from cohortlab_hub.access import Decision, Person
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.pixels.rules import MOST_AT_ONCE, permitted, visible
from cohortlab_hub.records import reading
from cohortlab_hub.settings import Settings

if TYPE_CHECKING:
    from cohortlab_hub.pixels.stores import Stores

_READERS = 4
_MINUTE = 60.0
_LOOKING = timedelta(minutes=30)  # without a request, after which a person begins to look anew
_log = structlog.get_logger(__name__)


class Room:
    """Decides and answers. `reply` blocks on records and disk: `ask` calls it in threads of the room's own."""

    def __init__(self, settings: Settings, catalogue: Catalogue, sessions: sessionmaker[Session]) -> None:
        self.tally = Tally()
        self._gateway: Stores | None = None
        self._settings = settings
        self._catalogue = catalogue
        self._sessions = sessions
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="cohortlab-pixels")
        self._busy: Counter[str] = Counter()
        self._looking: dict[tuple[str, str, str], datetime] = {}
        self._lock = threading.Lock()

    @property
    def gateway(self) -> "Stores":
        """The gateway. The image libraries behind it are loaded when somebody first looks: the hub starts a second sooner."""
        from cohortlab_hub.pixels.stores import Stores  # noqa: PLC0415 - as said

        with self._lock:
            if self._gateway is None:
                self._gateway = Stores(self._settings)
            return self._gateway

    def close(self) -> None:
        """Let the readers end and record what was counted."""
        self._readers.shutdown(cancel_futures=True)
        self.record()

    @contextmanager
    def line(self, person: Person) -> Iterator[None]:
        """A place among the person's requests. Raises `BusyError` when there is none left."""
        if self._busy[person.name] >= MOST_AT_ONCE:
            raise BusyError("You ask for too many images at once.", hint="Wait until some have come.")
        self._busy[person.name] += 1
        try:
            yield
        finally:
            self._busy[person.name] -= 1
            if not self._busy[person.name]:
                del self._busy[person.name]

    async def ask(self, person: Person, asked: Asked, gone: "asyncio.Future[None]") -> Reply | None:
        """The reply to one request, problems included; None when `gone` is done first, which stops the work."""
        stop = Stop()
        with self.line(person):
            working = asyncio.get_running_loop().run_in_executor(self._readers, self.reply, person, asked, stop)
            both: set[asyncio.Future[Any]] = {working, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                stop.set()  # what reads stops at its next part
                working.cancel()  # what waits is dropped
                return None
            return working.result()

    def reply(self, person: Person, asked: Asked, stop: Stop) -> Reply:
        """Decide, answer, count. When the records cannot be read or written nothing is shown."""
        try:
            stop.check()
            return self._reply(person, asked, stop)
        except CohortlabError as error:
            return problem(error)
        except SQLAlchemyError as error:
            _log.warning("pixels.reply", error=type(error).__name__)
            return problem(UnavailableError("The records of the workbench do not answer.", hint="Try again in a moment."))

    def _reply(self, person: Person, asked: Asked, stop: Stop) -> Reply:
        purpose, now = asked.headers.get("x-cohortlab-purpose"), datetime.now(UTC)
        route = split(asked.path)
        if route.kind == "datasets":
            return Api(self.gateway).reply(asked, stop=stop, visible=self._visible(person, purpose, now))
        terms = {entry.id: entry.terms for entry in self._catalogue.served() if entry.store is not None}
        with reading(self._sessions) as database:
            grants = self._catalogue.grants(database, person)
        decisions = []
        for dataset in datasets_of(asked):
            if dataset not in terms:
                raise NotFoundError("There is no such dataset here.", hint="The list of datasets has those that you may see.")
            try:
                decisions.append(permitted(grants, person, terms[dataset], route.kind, purpose=purpose, now=now))
            except ValueError:
                raise InvalidInputError("X-Cohortlab-Purpose is not a DUO code.") from None
        if route.kind != "meta":
            self._look(person, route.dataset, decisions[0], now)
        api = Api(self.gateway, lambda dataset, series, case, size: self.tally.count(person.name, dataset, series, case, size))
        return api.reply(asked, stop=stop)

    def _visible(self, person: Person, purpose: str | None, now: datetime) -> frozenset[str]:
        with reading(self._sessions) as database:
            grants = self._catalogue.grants(database, person)
        try:
            return visible(grants, person, [entry.terms for entry in self._catalogue.served()], purpose=purpose, now=now)
        except ValueError:
            raise InvalidInputError("X-Cohortlab-Purpose is not a DUO code.") from None

    def _look(self, person: Person, dataset: str, decision: Decision, now: datetime) -> None:
        """Record that the person begins to look at the dataset, unless they are at it."""
        key = (person.name, dataset, decision.grant or "")
        with self._lock:
            last = self._looking.get(key)
            if last is not None and last >= now - _LOOKING:
                self._looking[key] = now
                return
            with self._sessions.begin() as database:
                audit.record(database, person.name, "pixels.open", dataset, {"grant": decision.grant})
            self._looking[key] = now

    def record(self) -> None:
        """Write down what was counted since the last time."""
        now = datetime.now(UTC)
        with self._lock:
            self._looking = {key: last for key, last in self._looking.items() if last >= now - _LOOKING}
        taken = self.tally.take()
        if not taken:
            return
        with self._sessions.begin() as database:
            for seen in taken:
                details = {"answers": seen.answers, "bytes": seen.bytes, "series": len(seen.series), "cases": len(seen.cases)}
                audit.record(database, seen.person, "pixels.read", seen.dataset, {**details, "since": seen.begin.isoformat()})

    async def watch(self) -> None:
        """Record once a minute. Runs until cancelled."""
        while True:
            await asyncio.sleep(_MINUTE)
            try:
                await asyncio.to_thread(self.record)
            except SQLAlchemyError as error:
                _log.warning("pixels.record", error=type(error).__name__)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Open the room for the life of the application, as ``app.state.pixels``."""
    room = app.state.pixels = Room(app.state.settings, app.state.catalogue, app.state.sessions)
    watch = asyncio.create_task(room.watch(), name="pixels-watch")
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await asyncio.to_thread(room.close)
