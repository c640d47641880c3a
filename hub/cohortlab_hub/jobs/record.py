"""The record of jobs: rows -> what people see, and the one way in which a job's state changes."""

import json
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cohortlab.errors import IntegrityError, NotFoundError
from cohortlab.federation.contracts import (
    REASONS,
    Event,
    HistogramResult,
    JobResult,
    JobState,
    JobView,
    Reason,
    Release,
    SiteProgress,
    SiteState,
)
from cohortlab.federation.tasks.histogram_merge import merge_histograms
from cohortlab_hub import audit
from cohortlab_hub.jobs import rules
from cohortlab_hub.jobs.tables import EventRow, JobRow, TicketRow

MAX_EVENTS = 5000
"""Events kept of one job; after that only final steps are noted."""


class NoResultError(NotFoundError):
    """The job has no result, or not yet."""

    code = "no-result"


def counted(database: Session) -> dict[str, int]:
    """How many jobs there are, by state."""
    return {row[0]: row[1] for row in database.execute(select(JobRow.state, func.count()).group_by(JobRow.state))}


def states(job: JobRow) -> list[SiteState]:
    """The states of the job's sites, in the order of their names."""
    return [SiteState(ticket.state) for ticket in job.tickets]


def view(job: JobRow, titles: dict[str, str]) -> JobView:
    """The job as its user sees it; `titles` are the sites' titles by name."""
    return JobView(
        id=job.id,
        dataset=job.dataset,
        task=job.task,
        parameters=json.loads(job.parameters),
        project=job.project,
        purpose=job.purpose,
        state=JobState(job.state),
        summary=rules.summary(states(job)),
        sites=tuple(_progress(ticket, titles.get(ticket.site, "")) for ticket in job.tickets),
        created=job.created,
        updated=job.updated,
        expires=job.expires,
    )


def _progress(ticket: TicketRow, title: str) -> SiteProgress:
    reason = Reason(ticket.reason) if ticket.reason else None
    return SiteProgress(
        site=ticket.site,
        title=title or ticket.site,
        state=SiteState(ticket.state),
        progress=ticket.progress,
        reason=reason,
        message=REASONS[reason] if reason else "",
    )


def events(database: Session, job: JobRow, after: int, limit: int = 500) -> tuple[Event, ...]:
    """Up to `limit` events of the job with a number above `after`, oldest first."""
    query = select(EventRow).where(EventRow.job_id == job.id, EventRow.seq > after).order_by(EventRow.seq).limit(limit)
    return tuple(
        Event(seq=e.seq, time=e.time, site=e.site, state=e.state, progress=e.progress, reason=Reason(e.reason) if e.reason else None)
        for e in database.scalars(query)
    )


def note(database: Session, job: JobRow, now: datetime, state: str, ticket: TicketRow | None = None, *, final: bool = False) -> None:
    """Append an event: a step of `ticket`'s site, or of the job as a whole."""
    database.flush()
    last = database.scalar(select(func.max(EventRow.seq)).where(EventRow.job_id == job.id)) or 0
    if last >= MAX_EVENTS and not final:
        return
    site, progress, reason = (ticket.site, ticket.progress, ticket.reason) if ticket else ("", 0.0, None)
    database.add(EventRow(job_id=job.id, seq=last + 1, time=now, site=site, state=state, progress=progress, reason=reason))
    database.flush()


def move(
    database: Session, ticket: TicketRow, state: SiteState, now: datetime, *, progress: float = 0.0, reason: Reason | None = None
) -> bool:
    """Move one site's part to `state` and the job with it. Returns whether anything changed; raises `FinalStateError`."""
    job, current = ticket.job, SiteState(ticket.state)
    new = rules.moved(current, state)
    progress = 1.0 if new is SiteState.RELEASED else max(ticket.progress, progress)
    if new is current and (current.final or progress == ticket.progress):
        return False
    ticket.state, ticket.progress, ticket.reason = new.value, progress, reason.value if reason else None
    job.updated = now
    note(database, job, now, new.value, ticket, final=new.final)
    _follow(database, job, now)
    return True


def _follow(database: Session, job: JobRow, now: datetime) -> None:
    """Bring the job's state up to those of its sites; the last word of the last site ends it."""
    reached = rules.job_state(states(job))
    if reached.value != job.state:
        job.state = reached.value
        note(database, job, now, job.state, final=reached is JobState.AGGREGATING)
    if reached is not JobState.AGGREGATING:
        return
    end = rules.outcome(states(job), job.minimum, cancelling=job.cancelling)
    steps = [JobState.RELEASING, end] if end in {JobState.SUCCEEDED, JobState.PARTIAL} else [end]
    for step in steps:
        job.state = step.value
        note(database, job, now, job.state, final=True)
    audit.record(database, "cohortlab", "job.finish", job.dataset, {"job": job.id, "state": job.state, "sites": rules.summary(states(job))})


def result(job: JobRow, titles: dict[str, str]) -> JobResult:
    """The merged and the sites' own results. Raises `NoResultError` unless enough sites released."""
    if JobState(job.state) not in {JobState.SUCCEEDED, JobState.PARTIAL}:
        over = "has no result" if JobState(job.state).final else "has no result yet"
        raise NoResultError(f"The job {over}: it is {job.state}, {rules.summary(states(job))} released.")
    sites: dict[str, HistogramResult] = {}
    for ticket in job.tickets:
        if ticket.state == SiteState.RELEASED.value and ticket.release:
            release = Release.model_validate_json(ticket.release)
            if release.result is None:
                raise IntegrityError("The record of a release is not complete.")
            sites[ticket.site] = release.result
    return JobResult(job=view(job, titles), merged=merge_histograms(list(sites.values())), sites=sites)
