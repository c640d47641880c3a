"""The life of a job: pure functions, no clock, no database.

A site's part moves only forward, from ``waiting`` to one of its final states, which it never leaves. A job's state follows
from those of its sites: a computation that is over everywhere is not a success before enough sites have released. A job
that all sites released has ``succeeded``; one that enough, but not all, released is ``partial``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cohortlab.errors import IntegrityError
from cohortlab.federation.contracts import JobState, Reason, SiteState

_ORDER = [SiteState.WAITING, SiteState.SENT, SiteState.ACCEPTED, SiteState.RUNNING, SiteState.RELEASING]
_WITHOUT_RESULT = (
    (SiteState.FAILED, JobState.FAILED),
    (SiteState.LOST, JobState.LOST),
    (SiteState.EXPIRED, JobState.EXPIRED),
    (SiteState.CANCELLED, JobState.CANCELLED),
)
HARD_LIMIT = 2
"""A site that fetched a ticket but has no answer after this many lifetimes of the ticket counts as lost."""


class FinalStateError(IntegrityError):
    """The job, or the site's part of it, is over: nothing can change it."""

    code = "final-state"


def moved(current: SiteState, said: SiteState) -> SiteState:
    """The state of a site's part after the site said `said`. What comes late or twice changes nothing.

    Raises `FinalStateError` when the part is over, unless the site repeats itself.
    """
    if current.final:
        if said == current:
            return current
        raise FinalStateError(f"This part of the job is over: {current.value}.")
    if said.final:
        return said
    return said if _ORDER.index(said) > _ORDER.index(current) else current


def needed(asked: int, minimum: int) -> int:
    """How many of `asked` sites must release before there is a result."""
    return max(1, min(asked, minimum))


def job_state(sites: Sequence[SiteState]) -> JobState:
    """The state of a job from those of its sites (one or more).

    ``aggregating`` means that all sites have said their last word and the result can be put together: see `outcome`.
    """
    if all(site.final for site in sites):
        return JobState.AGGREGATING
    if any(site in {SiteState.RUNNING, SiteState.RELEASING} or site.final for site in sites):
        return JobState.RUNNING
    if any(site is not SiteState.WAITING for site in sites):
        return JobState.STARTING
    return JobState.QUEUED


def outcome(sites: Sequence[SiteState], minimum: int, *, cancelling: bool) -> JobState:
    """The final state of a job whose sites have all said their last word."""
    if cancelling:
        return JobState.CANCELLED
    released = sum(site is SiteState.RELEASED for site in sites)
    if released == len(sites):
        return JobState.SUCCEEDED
    if released >= needed(len(sites), minimum):
        return JobState.PARTIAL
    # Too few: what can be tried again is named first, a refusal only when nothing else stood in the way.
    return next((job for site, job in _WITHOUT_RESULT if site in sites), JobState.REFUSED)


def summary(sites: Sequence[SiteState]) -> str:
    """How many sites released, in words: ``2 of 3 sites``."""
    released = sum(site is SiteState.RELEASED for site in sites)
    return f"{released} of {len(sites)} site{'s' if len(sites) != 1 else ''}"


@dataclass(frozen=True, slots=True)
class Limits:
    """`lifetime` of a ticket, and how long a site may stay silent while it holds one."""

    lifetime: timedelta
    silence: timedelta


def deadline(state: SiteState, issued: datetime, expires: datetime, seen: datetime, silence: timedelta) -> datetime | None:
    """When a site's part is over for want of an answer, unless the site is heard before. None: it is over already.

    `issued` and `expires` are the ticket's, `seen` is when the site was last heard, `silence` how long it may say nothing.
    """
    if state.final:
        return None
    if state is SiteState.WAITING:
        return expires
    return min(seen + silence, issued + HARD_LIMIT * (expires - issued))


def overdue(state: SiteState) -> tuple[SiteState, Reason]:
    """What becomes of a site's part after its deadline: never fetched is expired, fetched and unanswered is lost."""
    if state is SiteState.WAITING:
        return SiteState.EXPIRED, Reason.NOT_FETCHED
    return SiteState.LOST, Reason.SITE_SILENT
