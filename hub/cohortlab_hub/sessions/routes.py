"""HTTP of sessions, for programs and for sessions themselves: profiles, the GPU queue, bookings, what is told before a stop.

The hub decides about the queue; what is written here it reads at its next look, within seconds.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from cohortlab.errors import NotFoundError, RefusedError
from cohortlab_hub.access.routes import person
from cohortlab_hub.identity import Caller, Principal
from cohortlab_hub.records import Database
from cohortlab_hub.sessions import gpus, notices, profiles
from cohortlab_hub.sessions.gpus import BookingRecord, NewBooking, Ticket
from cohortlab_hub.sessions.notices import Notice
from cohortlab_hub.settings import Settings

router = APIRouter(tags=["sessions"])


def workbench(request: Request) -> Settings:
    """FastAPI dependency: the settings."""
    settings: Settings = request.app.state.settings
    return settings


Workbench = Annotated[Settings, Depends(workbench)]


class GpuAnswer(BaseModel):
    """GPUs that a profile asks for, and how many of the kind there are and are free."""

    kind: str
    title: str
    count: int
    total: int | None
    free: int | None


class ProfileAnswer(BaseModel):
    """A profile that I may use."""

    name: str
    title: str
    description: str
    cpu: float
    memory: str
    max_hours: float | None
    idle_minutes: float
    gpu: GpuAnswer | None


class Instead(BaseModel):
    """The profile to take instead of waiting."""

    model_config = ConfigDict(extra="forbid")

    profile: str


class QueuePlace(BaseModel):
    """A place in the queue. `person` only to those who run the workbench, and for one's own."""

    position: int | None
    count: int
    since: datetime
    estimate: datetime | None
    mine: bool
    person: str | None = None


class QueueAnswer(BaseModel):
    """The queue of one kind of GPU."""

    kind: str
    title: str
    total: int | None
    free: int | None
    waiting: list[QueuePlace]


@router.get("/sessions/profiles")
def my_profiles(caller: Caller, database: Database, settings: Workbench) -> list[ProfileAnswer]:
    """The kinds of session that I may start."""
    free = gpus.free(database)
    made = []
    for name, profile in profiles.offered(profiles.known(settings), person(caller).groups).items():
        gpu = None
        if profile.gpu is not None:
            kind, known = settings.gpus[profile.gpu.kind], free.get(profile.gpu.kind)
            gpu = GpuAnswer(
                kind=profile.gpu.kind,
                title=kind.title or profile.gpu.kind,
                count=profile.gpu.count,
                total=known.total if known else kind.total,
                free=known.free if known else None,
            )
        made.append(
            ProfileAnswer(
                name=name,
                title=profile.title or name,
                description=profile.description,
                cpu=profile.cpu,
                memory=profile.memory,
                max_hours=profile.max_hours,
                idle_minutes=profile.idle_minutes,
                gpu=gpu,
            )
        )
    return made


@router.get("/sessions/queue")
def queue(caller: Caller, database: Database, settings: Workbench) -> list[QueueAnswer]:
    """Who waits for GPUs, by kind. Others are shown without their names."""
    me, all_names = person(caller).name, not caller.groups.isdisjoint(settings.steward_groups)
    rows, free = gpus.tickets(database), gpus.free(database)
    return [
        QueueAnswer(
            kind=name,
            title=kind.title or name,
            total=free[name].total if name in free else kind.total,
            free=free[name].free if name in free else None,
            waiting=[
                QueuePlace(
                    position=row.position,
                    count=row.count,
                    since=row.since,
                    estimate=row.estimate,
                    mine=row.person == me,
                    person=row.person if all_names or row.person == me else None,
                )
                for row in rows
                if row.kind == name and row.state == gpus.WAITING
            ],
        )
        for name, kind in settings.gpus.items()
    ]


@router.get("/sessions/self/queue")
def my_requests(caller: Caller, database: Database) -> list[Ticket]:
    """My requests for GPUs: those that wait, with position and estimate, and those that have them."""
    return [Ticket.model_validate(row) for row in gpus.tickets(database, person(caller).name)]


@router.delete("/sessions/self/queue/{ticket}", status_code=204)
def leave(caller: Caller, database: Database, ticket: str) -> None:
    """Leave the queue."""
    gpus.waiting_of(database, person(caller).name, ticket).state = gpus.LEFT


@router.post("/sessions/self/queue/{ticket}/instead", status_code=202)
def take_instead(caller: Caller, database: Database, settings: Workbench, ticket: str, wanted: Instead) -> None:
    """Take a profile without GPUs at once, instead of waiting."""
    me = person(caller)
    row = gpus.waiting_of(database, me.name, ticket)
    choice = profiles.choose({"profile": wanted.profile}, settings, me.name, me.groups)
    if choice.profile.gpu is not None:
        raise RefusedError("That profile has GPUs too.", hint="Choose one without.")
    row.profile, row.state = choice.name, gpus.INSTEAD


@router.get("/sessions/bookings")
def all_bookings(caller: Caller, database: Database) -> list[BookingRecord]:
    """The bookings that are not over."""
    person(caller)
    return gpus.bookings(database, datetime.now(UTC))


def _may_book(caller: Principal, settings: Settings, project: str) -> None:
    known = settings.federation.projects if settings.federation else {}
    if project not in known:
        raise NotFoundError(f"There is no project {project}.")
    if project not in profiles.bookable(settings, caller.name, caller.groups):
        raise RefusedError("You book for your own projects only.", hint="Ask a trainer, or a member of that project.")


@router.post("/sessions/bookings", status_code=201)
def book(caller: Caller, database: Database, settings: Workbench, new: NewBooking) -> BookingRecord:
    """Keep GPUs for a project, from a time to a time. For trainers, and for members of the project."""
    person(caller)
    _may_book(caller, settings, new.project)
    return gpus.book(database, caller.name, new, datetime.now(UTC))


@router.delete("/sessions/bookings/{booking}")
def cancel_booking(caller: Caller, database: Database, settings: Workbench, booking: str) -> BookingRecord:
    """Give a booking back: mine, or as a trainer anybody's."""
    anybodys = not caller.groups.isdisjoint(settings.queue.booking_groups)
    return gpus.cancel(database, person(caller).name, booking, anybodys=anybodys)


@router.get("/sessions/self/notices")
def my_notices(caller: Caller, database: Database, server: str | None = None) -> list[Notice]:
    """What I am told of my sessions (or of one), the most urgent first. A session asks this for its banner."""
    return notices.shown(database, person(caller).name, datetime.now(UTC), server)


@router.post("/sessions/self/notices/{notice}/extend")
def extend(caller: Caller, database: Database, notice: str) -> Notice:
    """Put a stop off, where that is allowed."""
    return notices.extend(database, person(caller).name, notice, datetime.now(UTC))
