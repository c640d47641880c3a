"""Federated jobs in code: `cl.jobs.submit(...)`, then `.wait()` and `.result()`; `cl.jobs.datasets()` says what there is."""

import html
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cohortlab.errors import InvalidInputError, UnavailableError
from cohortlab.federation.contracts import Event, Events, FederatedDataset, Federation, JobResult, JobSpec, JobState, JobView
from cohortlab.federation.line import Line
from cohortlab.federation.result import Result
from cohortlab.federation.result import table as _table

_WAIT = 25.0
_RETRY = 1.0

__all__ = ["Job", "datasets", "federation", "get", "list", "submit"]


class Job:
    """A submitted job. `state`, `summary` and `sites` are as last heard; `refresh`, `wait`, `follow` and `events` hear more."""

    def __init__(self, line: Line, view: JobView) -> None:
        self._line = line
        self.view = view

    @property
    def id(self) -> str:
        """The job's id."""
        return self.view.id

    @property
    def state(self) -> JobState:
        """The job's state."""
        return self.view.state

    @property
    def summary(self) -> str:
        """How many sites released: ``2 of 3 sites``."""
        return self.view.summary

    @property
    def sites(self) -> dict[str, str]:
        """Each site's state, with the reason where it refused or failed."""
        return {s.site: s.state.value + (f": {s.message}" if s.message else "") for s in self.view.sites}

    def refresh(self) -> "Job":
        """Ask the hub how the job is."""
        self.view = self._line.get(f"jobs/{self.id}", JobView)
        return self

    def events(self, after: int = 0) -> tuple[Event, ...]:
        """What has happened so far, after event number `after`."""
        return self._hear(after, 0.0)

    def _hear(self, after: int, seconds: float) -> tuple[Event, ...]:
        """The events after number `after`; waits up to `seconds` for one. Brings `view` up to date."""
        page = self._line.get(f"jobs/{self.id}/events", Events, wait=seconds, after=after)
        self.view = page.job
        return page.events

    def follow(self, stop: threading.Event | None = None) -> Iterator[JobView]:
        """The job each time that something happened to it, first as it is, until it is over or `stop` is set.

        A hub that restarts meanwhile is waited for.
        """
        stop = stop or threading.Event()
        after = 0
        while not stop.is_set():
            try:
                events = self._hear(after, _WAIT if after else 0.0)
            except UnavailableError:
                stop.wait(_RETRY)  # nothing tells when a hub that is away comes back
                continue
            if events:
                after = events[-1].seq
                yield self.view
            if self.state.final:
                return

    def wait(self, timeout: float | None = None) -> "Job":
        """Wait until the job is over, or at most `timeout` seconds: then `TimeoutError`. A hub that restarts is waited for."""
        end = None if timeout is None else time.monotonic() + timeout
        after = 0
        while not self.state.final:
            left = _WAIT if end is None else min(_WAIT, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"The job is still {self.state.value} after {timeout:g} s: {self.summary} released.")
            try:
                events = self._hear(after, left)
            except UnavailableError:
                if end is not None and end - time.monotonic() <= _RETRY:
                    raise
                time.sleep(_RETRY)  # as in `follow`
                continue
            after = events[-1].seq if events else after
        return self

    def result(self) -> Result:
        """The result. Raises `NotFoundError` (code ``no-result``) when there is none, or not yet."""
        answer = self._line.get(f"jobs/{self.id}/result", JobResult)
        self.view = answer.job
        return Result(answer)

    def cancel(self) -> "Job":
        """Cancel the job; it is over when every site that works on it has stopped. Raises `IntegrityError` when it is over."""
        self.view = self._line.post(f"jobs/{self.id}/cancel", JobView)
        return self

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.view.task} on {self.view.dataset}, {self.state.value}, {self.summary}>"

    def _repr_html_(self) -> str:
        rows = [(s.title, s.state.value, s.message) for s in self.view.sites]
        head = f"{self.view.task} on {self.view.dataset}: {self.state.value}, {self.summary}"
        return f"<div><strong>{html.escape(head)}</strong>{_table(('site', 'state', 'reason'), rows)}</div>"


def federation(line: Line | None = None) -> Federation:
    """Datasets, projects and tasks that you can choose from for a job."""
    return (line or Line.shared()).get("federation", Federation)


def datasets() -> tuple[FederatedDataset, ...]:
    """The datasets that you can run jobs on, and the sites that hold them."""
    return federation().datasets


def submit(
    dataset: str,
    task: str = "histogram",
    *,
    project: str | None = None,
    sites: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    purpose: str = "",
    idempotency_key: str | None = None,
    line: Line | None = None,
) -> Job:
    """Submit a job on a federated dataset.

    Args:
        dataset: its id, see `datasets()`.
        task: what to compute; ``histogram`` takes `parameters` bins, low, high, modality, region.
        project: the project that it is for; may be left out by a member of exactly one.
        sites: where to run it; all sites that hold the dataset when left out.
        parameters: the task's parameters; its defaults where left out.
        purpose: DUO code; the project's own when left out.
        idempotency_key: submitting again with the same key gives the same job again.
        line: the hub, by default that of this session.

    Raises:
        RefusedError: the hub does not allow it, with its reason.
        NotFoundError: there is no such site or task.
        InvalidInputError: the parameters are wrong.
        UnavailableError: the hub does not answer.
    """
    line = line or Line.shared()
    if project is None:
        yours = [p.id for p in federation(line).projects]
        if len(yours) != 1:
            raise InvalidInputError("Which project is the job for?", hint=f"Give project=…; yours: {', '.join(yours) or 'none'}.")
        project = yours[0]
    try:
        spec = JobSpec(
            dataset=dataset,
            task=task,
            parameters=dict(parameters or {}),
            sites=tuple(sites or ()),
            project=project,
            purpose=purpose,
            idempotency_key=idempotency_key or secrets.token_hex(16),
        )
    except ValueError as error:
        raise InvalidInputError(f"This is not a job: {_first(error)}.") from None
    try:
        view = line.post("jobs", JobView, spec)
    except UnavailableError:  # it may have arrived: the key makes a second try safe
        view = line.post("jobs", JobView, spec)
    return Job(line, view)


def _first(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return "wrong value"
    first = errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}"


def get(job_id: str, *, line: Line | None = None) -> Job:
    """One of your jobs. Raises `NotFoundError`."""
    line = line or Line.shared()
    return Job(line, line.get(f"jobs/{job_id}", JobView))


def list(limit: int = 50, *, line: Line | None = None) -> tuple[Job, ...]:  # noqa: A001 - reads as cl.jobs.list()
    """Your jobs, newest first."""
    line = line or Line.shared()
    return tuple(Job(line, view) for view in line.get_list("jobs", JobView, limit=limit))
