"""What becomes of a running session's lease when it is decided again: a pure function of the decision and the time.

A lease that holds goes on. One whose end is near, or that does not hold any more, has its person warned, and the session that
mounts the dataset is stopped: at the lease's own end when that was known, after the operator's grace when it was
withdrawn, at once when it was withdrawn for cause. A time that was told is kept: deciding again later never gives more. A
lease that holds again (a visa renewed, a new grant) takes the warning back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cohortlab_hub.access.rules import Decision

_NEAR = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Holds:
    """It goes on, until `until` as far as is known."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Ends:
    """Its session is stopped at `stops`, for `reason`, a sentence for the person."""

    stops: datetime
    reason: str


def judge(decision: Decision, stops: datetime | None, now: datetime, grace: timedelta, *, signed_in: bool = True) -> Holds | Ends:
    """What becomes of a lease that `decision` is about. `stops`: the time that the person was told before, None: none was."""
    if decision.allowed and not signed_in:
        return Ends(_earlier(stops, now + grace), "Your sign-in has ended. Sign in again to keep this session.")
    if decision.allowed:
        if decision.until is not None and decision.until - now <= min(grace, _NEAR):
            return Ends(_earlier(stops, decision.until), f"Your grant ends at {decision.until:%H:%M %Z}. Ask a data steward to renew it.")
        return Holds(decision.until)
    return Ends(_earlier(stops, now if decision.for_cause else now + grace), decision.reason)


def _earlier(told: datetime | None, due: datetime) -> datetime:
    return due if told is None else min(told, due)
