"""The agent: asks the hub for tickets, checks each against signature, time and policy, has it computed and its release checked.

It never reads data nor a raw result. Whatever happens, a ticket that was taken gets one last word: a release, or a reason.
After a crash the journal says what was under way: a computation is tried once more, a release that was written is sent again.
"""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cohortlab.errors import CohortlabError, InvalidInputError, RefusedError, StorageError, UnavailableError
from cohortlab.federation.contracts import Reason, Release, SiteReport, SiteState, TicketName, WorkItem
from cohortlab.federation.site.config import SiteConfig, read_policy
from cohortlab.federation.site.helpers import Spare
from cohortlab.federation.site.hub import HubLine, OverError
from cohortlab.federation.site.journal import Entry, Journal, Phase
from cohortlab.federation.site.protocol import ReleaseOrder, RunOrder
from cohortlab.federation.site.stores import newest
from cohortlab.federation.tasks import TASKS
from cohortlab.federation.ticket import TicketError, verify_ticket
from cohortlab.keys import PublicKey

_log = logging.getLogger(__name__)
MAX_ATTEMPTS = 2
"""A computation that was cut off by a restart is begun again this often at most, counting the first time."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0


class Pause:
    """Longer and longer pauses while the hub does not answer; ended early by `stop`."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._seconds = _FIRST_PAUSE

    def reset(self) -> None:
        """The hub answered."""
        self._seconds = _FIRST_PAUSE

    async def __call__(self) -> None:
        """Pause."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._stop.wait()
        self._seconds = min(self._seconds * 2, _LONGEST_PAUSE)


class Agent:
    """One site's agent, for one run. `stop` ends it: what is computed then is begun again at the next start."""

    def __init__(self, config: SiteConfig, stop: asyncio.Event) -> None:
        self._config = config
        self._stop = stop
        self._journal = Journal(config.state / "tickets")
        self._keys = [PublicKey(key) for key in config.ticket_keys]
        self._slots = asyncio.Semaphore(config.parallel)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._fault: BaseException | None = None
        self._runner = Spare("cohortlab.federation.site.runner")
        self._release = Spare("cohortlab.federation.site.release")

    async def run(self) -> None:
        """Work until `stop` is set, or until this is cancelled. Leaves no process behind.

        Raises `StorageError` when the journal cannot be written: without it no ticket may be taken.
        """
        async with HubLine(self._config) as self._hub, self._runner, self._release:
            self._recover()
            polling = asyncio.create_task(self._poll())
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if polling.done():
                    await polling
            finally:
                tasks = [polling, stopping, *self._tasks.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._fault is not None:
            raise self._fault

    async def _poll(self) -> None:
        pause, told = Pause(self._stop), ""
        while True:
            try:
                work = await self._hub.work()
            except (UnavailableError, RefusedError) as error:
                if told != error.message:
                    told = error.message
                    _log.warning("%s Trying again.", error)
                await pause()
                continue
            if told:
                told = ""
                _log.info("The hub answers again.")
            pause.reset()
            for item in work.items:
                await self._take(item)
            for name in work.cancel:
                await self._cancel(name)
            self._journal.forget(time.time())

    def _begin(self, ticket: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[ticket] = task
        task.add_done_callback(lambda done: self._ended(ticket, done))

    def _ended(self, ticket: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(ticket) is task:
            del self._tasks[ticket]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s ended by %s; the next start takes it up again.", ticket, type(error).__name__)
            self._fault = self._fault or error
            self._stop.set()

    def _recover(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        for entry in self._journal:
            if entry.phase is Phase.DELIVERED:
                continue
            if entry.phase is Phase.DONE:
                self._begin(entry.ticket.jti, self._deliver(entry))
            elif entry.attempts >= MAX_ATTEMPTS:
                self._begin(entry.ticket.jti, self._answer(entry, SiteState.LOST, Reason.SITE_RESTARTED))
            else:
                _log.info("%s was under way when the agent stopped: again.", entry.ticket.jti)
                self._begin(entry.ticket.jti, self._work_on(entry))

    @property
    def _work(self) -> Path:
        return self._config.state / "work"

    async def _take(self, item: WorkItem) -> None:
        """Check a ticket and begin with it, or say why not. Nothing of the dataset is touched before."""
        try:
            ticket = verify_ticket(item.ticket, item.parameters, self._keys, site=self._config.name, now=time.time(), used=self._journal)
        except TicketError as error:
            await self._refuse(item, error.reason)
            return
        if (ticket.jti, ticket.job) != (item.name.ticket, item.name.job):
            await self._refuse(item, Reason.TICKET_INVALID)
            return
        entry = Entry(ticket=ticket, token=item.ticket, parameters=item.parameters)
        reason = self._decide(entry)
        self._journal.put(entry)
        if reason is not None:
            _log.info("%s for %s by %s: refused, %s.", ticket.task, ticket.dataset, ticket.project, reason.value)
            await self._answer(entry, SiteState.REFUSED, reason, once=True)
            return
        _log.info("%s for %s by %s: accepted as %s.", ticket.task, ticket.dataset, ticket.project, ticket.jti)
        await self._accept(entry)
        self._begin(ticket.jti, self._work_on(entry))

    def _decide(self, entry: Entry) -> Reason | None:
        """Why the site refuses a good ticket: its policy, which is read again each time, or the parameters."""
        ticket = entry.ticket
        try:
            reason = read_policy(self._config.policy).refusal(ticket)
        except CohortlabError as error:
            _log.error("%s", error)
            return Reason.POLICY_UNREADABLE
        if reason is not None:
            return reason
        if ticket.task not in TASKS:
            return Reason.TASK_NOT_ALLOWED
        try:
            TASKS[ticket.task].normalise(entry.parameters)
        except InvalidInputError:
            return Reason.PARAMETERS_INVALID
        return None if newest(self._config.stores, ticket.dataset) else Reason.DATASET_NOT_HERE

    async def _refuse(self, item: WorkItem, reason: Reason) -> None:
        """Answer a ticket that is not good. One that this site took before, the hub may only not have heard of that."""
        known = self._journal.get(item.name.ticket)
        if reason is Reason.TICKET_REPLAYED and known is not None and known.token == item.ticket:
            if known.phase in {Phase.DONE, Phase.DELIVERED}:
                await self._send_once(known)
            else:
                await self._accept(known)
            return
        _log.warning("A ticket was refused: %s.", reason.value)
        if known is None:
            release = Release(ticket=item.name.ticket, job=item.name.job, state=SiteState.REFUSED, reason=reason)
            with contextlib.suppress(OverError, InvalidInputError, UnavailableError, RefusedError):
                await self._hub.release(release)

    async def _accept(self, entry: Entry) -> None:
        """Tell the hub; when it does not hear it, it sends the ticket again."""
        with contextlib.suppress(OverError, InvalidInputError, UnavailableError, RefusedError):
            await self._hub.report(entry.ticket.jti, SiteReport(state=SiteState.ACCEPTED))

    async def _cancel(self, name: TicketName) -> None:
        """Kill what runs for a ticket and say so. A release that is already written is sent instead."""
        task = self._tasks.get(name.ticket)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        entry = self._journal.get(name.ticket)
        if entry is not None and entry.phase in {Phase.DONE, Phase.DELIVERED}:
            await self._send_once(entry)
            return
        _log.info("%s: cancelled.", name.ticket)
        release = Release(ticket=name.ticket, job=name.job, state=SiteState.CANCELLED, reason=Reason.CANCELLED)
        if entry is not None:
            await self._finish(entry, release, once=True)
            return
        with contextlib.suppress(OverError, InvalidInputError, UnavailableError, RefusedError):
            await self._hub.release(release)

    async def _answer(self, entry: Entry, state: SiteState, reason: Reason, *, once: bool = False) -> None:
        release = Release.model_validate({"ticket": entry.ticket.jti, "job": entry.ticket.job, "state": state, "reason": reason})
        await self._finish(entry, release, once=once)

    async def _finish(self, entry: Entry, release: Release, *, once: bool = False) -> None:
        """Write the last word down, then deliver it: until the hub has it, or with `once` leave that to its next question."""
        done = entry.model_copy(update={"phase": Phase.DONE, "release": release})
        self._journal.put(done)
        await (self._send_once(done) if once else self._deliver(done))

    async def _send_once(self, entry: Entry) -> bool:
        if entry.release is None:
            return True
        try:
            await self._hub.release(entry.release)
        except (UnavailableError, RefusedError):
            return False
        except (OverError, InvalidInputError) as error:
            _log.warning("%s: the hub does not take the release: %s", entry.ticket.jti, error.message)
        if entry.phase is not Phase.DELIVERED:
            self._journal.put(entry.model_copy(update={"phase": Phase.DELIVERED}))
        return True

    async def _deliver(self, entry: Entry) -> None:
        pause = Pause(self._stop)
        while not await self._send_once(entry):
            await pause()

    async def _work_on(self, entry: Entry) -> None:
        """Compute and release one ticket."""
        async with self._slots:
            entry = entry.model_copy(update={"phase": Phase.RUNNING, "attempts": entry.attempts + 1})
            self._journal.put(entry)
            folder = self._work / entry.ticket.jti
            news = Reporter(self._hub, entry.ticket.jti)
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                async with asyncio.timeout(self._config.time_limit):
                    state, reason, release = await self._compute(entry, folder, news)
            except TimeoutError:
                state, reason, release = SiteState.FAILED, Reason.TIME_LIMIT, None
            except (OSError, StorageError) as error:
                _log.error("%s: %s", entry.ticket.jti, type(error).__name__)
                state, reason, release = SiteState.FAILED, Reason.COMPUTATION_FAILED, None
            finally:
                await news.close()
                shutil.rmtree(folder, ignore_errors=True)
        if release is None:
            _log.info("%s: %s, %s.", entry.ticket.jti, state.value, reason.value)
            await self._answer(entry, state, reason)
        else:
            _log.info("%s: %s.", entry.ticket.jti, release.state.value)
            await self._finish(entry, release)
        await self._runner.refill()
        await self._release.refill()

    async def _compute(self, entry: Entry, folder: Path, news: "Reporter") -> tuple[SiteState, Reason, Release | None]:
        ticket = entry.ticket
        store = newest(self._config.stores, ticket.dataset)
        if store is None:
            return SiteState.REFUSED, Reason.DATASET_NOT_HERE, None
        news.tell(SiteReport(state=SiteState.RUNNING))
        raw, out = folder / "raw.json", folder / "release.json"
        order = RunOrder(
            store=store,
            dataset=ticket.dataset,
            trusted=self._config.dataset_keys,
            task=ticket.task,
            parameters=entry.parameters,
            raw=raw,
        )
        reason = await self._runner.run(
            order, lambda done: news.tell(SiteReport(state=SiteState.RUNNING, progress=done)), Reason.COMPUTATION_FAILED
        )
        if reason is not None:
            return (SiteState.FAILED if reason is Reason.COMPUTATION_FAILED else SiteState.REFUSED), reason, None
        news.tell(SiteReport(state=SiteState.RELEASING, progress=1.0))
        check = ReleaseOrder(raw=raw, out=out, policy=self._config.policy, ticket=ticket.jti, job=ticket.job, task=ticket.task)
        reason = await self._release.run(check, lambda _: None, Reason.RELEASE_FAILED)
        try:
            release = None if reason else Release.model_validate_json(out.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            release = None
        if release is None or (release.ticket, release.job) != (ticket.jti, ticket.job):
            return SiteState.FAILED, Reason.RELEASE_FAILED, None
        return release.state, release.reason or Reason.RELEASE_FAILED, release


class Reporter:
    """Tells the hub how far a ticket is, beside the work: always the newest state, at most one call at a time."""

    def __init__(self, hub: HubLine, ticket: str) -> None:
        self._hub, self._ticket = hub, ticket
        self._news: asyncio.Queue[SiteReport] = asyncio.Queue(maxsize=1)
        self._task = asyncio.create_task(self._send())

    def tell(self, report: SiteReport) -> None:
        """Take this instead of what was not told yet."""
        with contextlib.suppress(asyncio.QueueEmpty):
            self._news.get_nowait()
        self._news.put_nowait(report)

    async def _send(self) -> None:
        while True:
            report = await self._news.get()
            with contextlib.suppress(CohortlabError):  # progress that is not heard is not worth stopping for
                await self._hub.report(self._ticket, report)

    async def close(self) -> None:
        """Say nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
