"""The record of the GPU queue: asking, leaving, looking at it (see `cohortlab_hub.sessions.queue` for the rules), bookings."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from cohortlab.errors import InvalidInputError, NotFoundError, RefusedError
from cohortlab_hub import audit
from cohortlab_hub.sessions import queue
from cohortlab_hub.sessions.profiles import Choice
from cohortlab_hub.sessions.queue import Ask, Booking, Held, Plan
from cohortlab_hub.sessions.settings import Queue
from cohortlab_hub.sessions.tables import BookingRow, GpuRow, QueueRow

WAITING, RUNNING, INSTEAD, LEFT, DONE = "waiting", "running", "instead", "left", "done"
_FAR = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class GpuPod:
    """A pod that has GPUs, by its own words."""

    person: str
    server: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the hub sees: GPUs by kind, requests that somebody waits for, sessions that run or start, pods that have GPUs."""

    totals: Mapping[str, int]
    waiting: Collection[str]
    running: Collection[tuple[str, str]]
    pods: Collection[GpuPod] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What came of a look at the queue: plans by kind; requests whose user left, or takes another profile."""

    plans: Mapping[str, Plan]
    left: tuple[str, ...]
    instead: Mapping[str, str]


def ask(database: Session, person: str, server: str, choice: Choice, *, queue_settings: Queue, now: datetime) -> str:
    """A place in the queue for `choice`; its id. Who asks again for the same soon after a restart has the old place."""
    gpu = choice.profile.gpu
    if gpu is None:
        raise ValueError("This profile has no GPU to wait for.")
    mine = select(QueueRow).where(QueueRow.person == person, QueueRow.server == server, QueueRow.state == WAITING)
    kept = None
    for row in database.scalars(mine):
        same = (row.kind, row.count, row.project) == (gpu.kind, gpu.count, choice.project)
        if same and now - row.seen <= timedelta(minutes=queue_settings.keep_place_minutes) and kept is None:
            kept = row
        else:
            row.state = LEFT
    if kept is None:
        kept = QueueRow(
            id=str(uuid.uuid4()),
            person=person,
            server=server,
            project=choice.project,
            profile=choice.name,
            kind=gpu.kind,
            count=gpu.count,
            guarantee_seconds=0,
            since=now,
            seen=now,
            state=WAITING,
            position=None,
            estimate=None,
            why="",
            guaranteed=None,
            ends=None,
        )
        database.add(kept)
    kept.profile, kept.seen = choice.name, now
    kept.guarantee_seconds = round(choice.profile.guaranteed_hours * 3600)
    database.flush()
    return kept.id


def finish(database: Session, ticket: str, state: str = DONE) -> None:
    """The request's session has ended, or nobody waits for it any more."""
    row = database.get(QueueRow, ticket)
    if row is not None and row.state in {WAITING, RUNNING, INSTEAD}:
        row.state = state


def ends(database: Session, ticket: str, moment: datetime | None) -> None:
    """When the request's session ends at most."""
    row = database.get(QueueRow, ticket)
    if row is not None:
        row.ends = moment


def look(database: Session, seen: Seen, queue_settings: Queue, now: datetime) -> Look:
    """Look at all kinds: note what changed since, and plan. Requests that the plans start are noted as running."""
    rows = list(database.scalars(select(QueueRow).where(QueueRow.state.in_([WAITING, RUNNING, INSTEAD, LEFT]), _recent(now))))
    keep = timedelta(minutes=queue_settings.keep_place_minutes)
    waits, there = set(seen.waiting), {*seen.running, *((pod.person, pod.server) for pod in seen.pods)}
    left, instead = [], {}
    for row in rows:
        if row.state == RUNNING and (row.person, row.server) not in there:
            row.state = DONE
        elif row.state == LEFT and row.id in waits:
            left.append(row.id)
        elif row.state == INSTEAD and row.id in waits:
            instead[row.id] = row.profile
        elif row.state == WAITING and row.id not in waits and now - row.seen > keep:
            row.state = LEFT
        elif row.state == WAITING and row.id in waits:
            row.seen = now
    bookings = list(database.scalars(select(BookingRow).where(BookingRow.end > now, BookingRow.cancelled.is_(False))))
    plans = {kind: _plan(kind, total, rows, seen, bookings, queue_settings=queue_settings, now=now) for kind, total in seen.totals.items()}
    for kind, made in plans.items():
        _write(database, kind, seen.totals[kind], made, {row.id: row for row in rows}, now=now)
    return Look(plans, tuple(left), instead)


def _recent(now: datetime) -> ColumnElement[bool]:
    return QueueRow.state.in_([WAITING, RUNNING, INSTEAD]) | (QueueRow.seen > now - timedelta(hours=1))


def _plan(
    kind: str, total: int, rows: list[QueueRow], seen: Seen, bookings: list[BookingRow], *, queue_settings: Queue, now: datetime
) -> Plan:
    asks = [
        Ask(row.id, row.project, row.count, row.since, timedelta(seconds=row.guarantee_seconds))
        for row in rows
        if row.kind == kind and row.state == WAITING and row.id in set(seen.waiting)
    ]
    held = [
        Held(row.id, row.project, row.count, row.guaranteed or now, row.ends) for row in rows if row.kind == kind and row.state == RUNNING
    ]
    known = {(row.person, row.server) for row in rows if row.state == RUNNING}
    strangers = [pod for pod in seen.pods if pod.kind == kind and (pod.person, pod.server) not in known]
    held += [Held(f"{pod.person}/{pod.server}", "", pod.count, now + _FAR) for pod in strangers]  # used, and not ours to take back
    booked = [as_rule(row) for row in bookings if row.kind == kind]
    warning = timedelta(minutes=queue_settings.warning_minutes)
    return queue.plan(total, asks, held, booked, queue_settings.shares, now=now, warning=warning)


def _write(database: Session, kind: str, total: int, made: Plan, rows: Mapping[str, QueueRow], *, now: datetime) -> None:
    for start in made.start:
        row = rows[start.id]
        row.state, row.guaranteed, row.position, row.estimate, row.why = RUNNING, start.guaranteed, None, None, ""
    for place in made.waiting:
        row = rows[place.id]
        row.position, row.estimate, row.why = place.position, place.estimate, place.why
    known = database.get(GpuRow, kind)
    if known is None:
        database.add(GpuRow(kind=kind, total=total, free=made.free, at=now))
    else:
        known.total, known.free, known.at = total, made.free, now


def as_rule(row: BookingRow) -> Booking:
    """The booking as the rules read it."""
    return Booking(row.id, row.project, row.count, row.start, row.end)


class NewBooking(BaseModel):
    """GPUs to keep for a project, from `start` to before `end`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    kind: str = Field(min_length=1, max_length=63)
    count: int = Field(ge=1, le=1024)
    project: str = Field(min_length=1, max_length=63)
    start: AwareDatetime
    end: AwareDatetime
    reason: str = Field(min_length=3, max_length=1000)


class BookingRecord(BaseModel):
    """A booking with who made it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    count: int
    project: str
    start: datetime
    end: datetime
    reason: str
    booked_by: str
    booked_at: datetime
    cancelled: bool


def book(database: Session, actor: str, new: NewBooking, now: datetime) -> BookingRecord:
    """Keep GPUs for a project. Raises `NotFoundError` for an unknown kind, `InvalidInputError` with the reason it cannot be."""
    kind = database.get(GpuRow, new.kind, with_for_update=True)
    if kind is None:
        raise NotFoundError(f"There are no GPUs of the kind {new.kind}.")
    row = BookingRow(id=str(uuid.uuid4()), booked_by=actor, booked_at=now, cancelled=False, **new.model_dump())
    running = select(QueueRow).where(QueueRow.kind == new.kind, QueueRow.state == RUNNING)
    held = [Held(one.id, one.project, one.count, one.guaranteed or now, one.ends) for one in database.scalars(running)]
    others = select(BookingRow).where(BookingRow.kind == new.kind, BookingRow.end > now, BookingRow.cancelled.is_(False))
    why = queue.may_book(kind.total, held, [as_rule(one) for one in database.scalars(others)], as_rule(row), now)
    if why:
        raise InvalidInputError(why, hint="Choose another time, or fewer GPUs.")
    database.add(row)
    audit.record(database, actor, "gpu.book", new.project, {"id": row.id, **new.model_dump(mode="json", exclude={"project"})})
    database.flush()
    return BookingRecord.model_validate(row)


def cancel(database: Session, actor: str, booking: str, *, anybodys: bool) -> BookingRecord:
    """Give a booking back. Raises `NotFoundError`, and `RefusedError` for another's without `anybodys`."""
    row = database.get(BookingRow, booking, with_for_update=True)
    if row is None:
        raise NotFoundError("There is no such booking.")
    if row.booked_by != actor and not anybodys:
        raise RefusedError("Only who made a booking gives it back.")
    if not row.cancelled:
        row.cancelled = True
        audit.record(database, actor, "gpu.unbook", row.project, {"id": row.id})
    return BookingRecord.model_validate(row)


def bookings(database: Session, now: datetime) -> list[BookingRecord]:
    """The bookings that are not over, by their start."""
    rows = select(BookingRow).where(BookingRow.end > now, BookingRow.cancelled.is_(False)).order_by(BookingRow.start, BookingRow.id)
    return [BookingRecord.model_validate(row) for row in database.scalars(rows)]


class Ticket(BaseModel):
    """A request in the queue, or with its GPUs, as its user sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    server: str
    project: str
    profile: str
    kind: str
    count: int
    state: str
    since: datetime
    position: int | None
    estimate: datetime | None
    why: str
    guaranteed: datetime | None


def tickets(database: Session, person: str | None = None) -> list[QueueRow]:
    """Requests that wait or have their GPUs, in order; of one person or of all."""
    query = select(QueueRow).where(QueueRow.state.in_([WAITING, RUNNING])).order_by(QueueRow.kind, QueueRow.position, QueueRow.since)
    return list(database.scalars(query if person is None else query.where(QueueRow.person == person)))


def waiting_of(database: Session, person: str, ticket: str) -> QueueRow:
    """The waiting request `ticket` of `person`. Raises `NotFoundError`."""
    row = database.get(QueueRow, ticket, with_for_update=True)
    if row is None or row.person != person or row.state != WAITING:
        raise NotFoundError("You have no such request in the queue, or no longer.")
    return row


def free(database: Session) -> dict[str, GpuRow]:
    """By kind: how many GPUs there are and how many are free."""
    return {row.kind: row for row in database.scalars(select(GpuRow))}
