"""Who gets GPUs now, who waits and for how long, whose GPUs are taken back: pure rules for one kind of GPU.

Order. The project that has least in relation to its share comes first; within a project, and between equals, who asked
first. The first that cannot start holds up those behind it, however little they want: otherwise a large request would
wait for ever.

Guarantee. A session that starts keeps its GPUs for a guaranteed time, shortened (never below `LEAST`) where a booking
begins earlier. After it, its GPUs can be taken back, with a warning, when somebody waits or a booking begins.

Booking. From its start to its end a booking keeps GPUs free for its project, less those that the project already has. A
booking is only taken where it does not touch what is guaranteed or booked already, so that it is always honoured.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LEAST = timedelta(minutes=30)  # a guarantee shorter than that is not worth a start
_FAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that waits for `count` GPUs. `guarantee`: for how long it would keep them at least."""

    id: str
    project: str
    count: int
    since: datetime
    guarantee: timedelta


@dataclass(frozen=True, slots=True)
class Held:
    """A session that has `count` GPUs: until `guaranteed` for sure, until `ends` at most (None: no end)."""

    id: str
    project: str
    count: int
    guaranteed: datetime
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """`count` GPUs for `project` from `start`, to before `end`."""

    id: str
    project: str
    count: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Start:
    """This request starts now."""

    id: str
    guaranteed: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue, 1 is the first. `estimate`: when it is expected to start, None: nobody can say."""

    id: str
    position: int
    estimate: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class TakeBack:
    """This session is past its guaranteed time and is stopped at `at`."""

    id: str
    at: datetime
    why: str
    booking: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now."""

    start: tuple[Start, ...] = ()
    waiting: tuple[Place, ...] = ()
    take_back: tuple[TakeBack, ...] = ()
    free: int = 0


def order(asks: Iterable[Ask], held: Iterable[Held], shares: Mapping[str, float]) -> list[Ask]:
    """The requests in the order in which they are served. A project that `shares` does not name has the share 1."""
    has: dict[str, float] = defaultdict(float)
    for one in held:
        has[one.project] += one.count
    queues: dict[str, list[Ask]] = defaultdict(list)
    for ask in sorted(asks, key=lambda ask: (ask.since, ask.id)):
        queues[ask.project].append(ask)
    made = []
    while queues:
        project = min(queues, key=lambda name: (has[name] / shares.get(name, 1.0), queues[name][0].since, queues[name][0].id))
        ask = queues[project].pop(0)
        if not queues[project]:
            del queues[project]
        has[project] += ask.count
        made.append(ask)
    return made


def plan(
    total: int,
    asks: Iterable[Ask],
    held: Iterable[Held],
    bookings: Iterable[Booking],
    shares: Mapping[str, float],
    *,
    now: datetime,
    warning: timedelta,
) -> Plan:
    """What to do at `now` with `total` GPUs. Start what it says, tell those who wait, warn and stop what it takes back."""
    have, booked = list(held), [booking for booking in bookings if booking.end > now]
    started, waiting = [], []
    blocked = False
    for ask in order(asks, have, shares):
        own = _reserved(booked, have, now, only=ask.project)
        if blocked and own < ask.count:
            waiting.append(ask)
            continue
        until = _room(total, ask, have, booked, now)
        if until is None:
            blocked = blocked or own < ask.count
            waiting.append(ask)
            continue
        have.append(Held(ask.id, ask.project, ask.count, until))
        started.append(Start(ask.id, until))
    taken = _take_back(total, waiting, have, booked, now=now, warning=warning)
    free = max(0, total - sum(one.count for one in have) - _reserved(booked, have, now))
    return Plan(tuple(started), tuple(_places(total, waiting, have, booked, now=now, warning=warning)), tuple(taken), free)


def may_book(total: int, held: Iterable[Held], bookings: Iterable[Booking], new: Booking, now: datetime) -> str:
    """Why `new` cannot be booked; empty: it can."""
    if new.start >= new.end or new.end <= now:
        return "A booking ends after it starts, and in the future."
    have, others = list(held), [booking for booking in bookings if booking.id != new.id]
    start = max(new.start, now)
    for moment in _moments(start, new.end, have, others):
        booked = sum(one.count for one in others if one.start <= moment < one.end)
        kept = sum(one.count for one in have if one.guaranteed > moment)
        covered = sum(
            min(
                sum(one.count for one in have if one.project == project and one.guaranteed > moment),
                sum(one.count for one in [*others, new] if one.project == project and one.start <= moment < one.end),
            )
            for project in {one.project for one in have}
        )
        left = total - booked - kept + covered
        if left < new.count:
            said = f"{moment:%Y-%m-%d %H:%M %Z}"
            return f"Of {total} GPUs only {max(left, 0)} can be booked at {said}: the others are booked or guaranteed to sessions."
    return ""


def _moments(start: datetime, end: datetime, held: Iterable[Held], bookings: Iterable[Booking]) -> list[datetime]:
    """When anything changes in [start, end), `start` first."""
    changes = {one.guaranteed for one in held} | {moment for one in bookings for moment in (one.start, one.end)}
    return [start, *sorted(moment for moment in changes if start < moment < end)]


def _reserved(bookings: Iterable[Booking], held: Sequence[Held], moment: datetime, *, but: str = "", only: str | None = None) -> int:
    """GPUs that bookings keep free at `moment`: of all projects but one, or of one only."""
    booked: dict[str, int] = defaultdict(int)
    for one in bookings:
        if one.start <= moment < one.end and one.project != but and only in {None, one.project}:
            booked[one.project] += one.count
    return sum(max(0, count - sum(one.count for one in held if one.project == project)) for project, count in booked.items())


def _room(total: int, ask: Ask, held: Sequence[Held], bookings: Sequence[Booking], now: datetime) -> datetime | None:
    """Until when `ask` would be guaranteed its GPUs if it started now; None: it cannot."""
    used = sum(one.count for one in held)
    if used + _reserved(bookings, held, now, but=ask.project) + ask.count > total:
        return None
    end = now + ask.guarantee
    after = [*held, Held(ask.id, ask.project, ask.count, end)]
    for moment in _moments(now, end, held, bookings):
        kept = [one for one in after if one.guaranteed > moment]
        if sum(one.count for one in kept) + _reserved(bookings, kept, moment) > total:
            return moment if moment - now >= min(LEAST, ask.guarantee) else None
    return end


def _take_back(
    total: int, waiting: Sequence[Ask], held: Sequence[Held], bookings: Sequence[Booking], *, now: datetime, warning: timedelta
) -> list[TakeBack]:
    taken: dict[str, TakeBack] = {}
    for booking in sorted(bookings, key=lambda one: (one.start, one.id)):
        if booking.start - warning > now:
            continue
        moment = max(booking.start, now)
        staying = [one for one in held if one.id not in taken and (one.ends is None or one.ends > moment)]
        excess = sum(one.count for one in staying) + _reserved(bookings, staying, moment) - total
        why = f"Its GPUs are booked for the project {booking.project} from {booking.start:%H:%M %Z}."
        for one in _past(staying, moment, bookings):
            if excess <= 0:
                break
            taken[one.id] = TakeBack(one.id, max(booking.start, now + warning), why, booking.id)
            excess -= one.count
    if waiting:
        first = waiting[0]
        staying = [one for one in held if one.id not in taken]
        excess = sum(one.count for one in held) + _reserved(bookings, held, now, but=first.project) + first.count - total
        coming = sum(one.count for one in held if one.id in taken)
        able = _past(staying, now, bookings)
        if 0 < excess - coming <= sum(one.count for one in able):
            excess -= coming
            for one in able:
                if excess <= 0:
                    break
                taken[one.id] = TakeBack(one.id, now + warning, "Its guaranteed time is over and others wait for its GPUs.")
                excess -= one.count
    return list(taken.values())


def _past(held: Iterable[Held], moment: datetime, bookings: Sequence[Booking]) -> list[Held]:
    """Sessions past their guarantee at `moment`, the longest first; not those that use their own project's booking."""
    booked = {one.project for one in bookings if one.start <= moment < one.end}
    return sorted((one for one in held if one.guaranteed <= moment and one.project not in booked), key=lambda one: (one.guaranteed, one.id))


def _places(
    total: int, waiting: Sequence[Ask], held: Sequence[Held], bookings: Sequence[Booking], *, now: datetime, warning: timedelta
) -> Iterable[Place]:
    """Places with estimates: a session is expected to go when its guarantee and a warning are over, or at its end."""
    sure = [replace(one, guaranteed=_leaves(one, now, warning)) for one in held]
    since = now
    for position, ask in enumerate(waiting, 1):
        found = None
        for moment in _moments(since, now + _FAR, sure, bookings):
            kept = [one for one in sure if one.guaranteed > moment]
            if sum(one.count for one in kept) + _reserved(bookings, kept, moment, but=ask.project) + ask.count <= total:
                found = moment
                break
        if found is not None:
            since = found
            sure.append(Held(ask.id, ask.project, ask.count, found + ask.guarantee + warning))
        before = "You are next." if position == 1 else f"{position - 1} before you."
        yield Place(ask.id, position, found, before if total else "There are no GPUs of this kind now.")


def _leaves(one: Held, now: datetime, warning: timedelta) -> datetime:
    latest = max(one.guaranteed, now) + warning
    return latest if one.ends is None else max(now, min(one.ends, latest))
