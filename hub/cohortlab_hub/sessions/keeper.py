"""When a session is warned and stopped for being idle or at the end of its time: a pure function.

Nothing is stopped unwarned: a stop is always that of a notice which was shown for the warning's time. So a hub that was
down, and heard of nobody's activity meanwhile, first warns. Activity (JupyterHub's: requests, kernels, terminals, and
what a session's own extension reports of busy kernels, programs in terminals and jobs) takes a warning back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cohortlab_hub.sessions.notices import Kind


@dataclass(frozen=True, slots=True)
class Life:
    """A running session: when it began, when something last happened in it, and its profile's limits (None: none)."""

    started: datetime
    last_activity: datetime
    idle: timedelta | None
    longest: timedelta | None
    extend: timedelta


@dataclass(frozen=True, slots=True)
class Warn:
    """A notice to give. It is not given twice while it is open."""

    kind: Kind
    message: str
    stop_at: datetime
    extend_to: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: notices to give, kinds of notices to take back."""

    warn: tuple[Warn, ...] = ()
    clear: tuple[Kind, ...] = ()


def look(life: Life, opened: Collection[Kind], extended: Mapping[Kind, datetime], *, now: datetime, warning: timedelta) -> Verdict:
    """What to do at `now`, with the `opened` notices and the times to which earlier ones were `extended`."""
    warn, clear = [], []
    for kind, end, extend_to, message in _ends(life, extended):
        before = min(warning, (end - life.started) / 2)
        if now >= end - before and kind not in opened:
            stop_at = max(end, now + before)
            warn.append(Warn(kind, message, stop_at, extend_to + (stop_at - end) if extend_to else None))
        elif now < end - before and kind in opened:
            clear.append(kind)
    ended = {Kind.IDLE, Kind.LIMIT} - {kind for kind, *_ in _ends(life, extended)}
    clear += sorted(ended & set(opened))
    return Verdict(tuple(warn), tuple(clear))


def _ends(life: Life, extended: Mapping[Kind, datetime]) -> list[tuple[Kind, datetime, datetime | None, str]]:
    made: list[tuple[Kind, datetime, datetime | None, str]] = []
    if life.idle is not None:
        end = max(life.last_activity + life.idle, extended.get(Kind.IDLE, life.started))
        minutes = round(life.idle.total_seconds() / 60)
        told = f"Nothing has happened in this session for a while: after {minutes} minutes without activity it is stopped."
        made.append((Kind.IDLE, end, end + life.idle, told))
    if life.longest is not None:
        end = max(life.started + life.longest, extended.get(Kind.LIMIT, life.started))
        told = "The time of this session's profile is over. Your files are kept; what only a kernel holds is lost, so save it."
        made.append((Kind.LIMIT, end, end + life.extend if life.extend else None, told))
    return made
