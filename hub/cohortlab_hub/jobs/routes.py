"""HTTP of the jobs room: for people their jobs, for sites their tickets. Waiting requests hold no transaction."""

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.exc import IntegrityError as DuplicateError
from starlette.concurrency import run_in_threadpool

from cohortlab.federation.contracts import (
    Events,
    FederatedDataset,
    FederatedProject,
    FederatedSite,
    FederatedTask,
    Federation,
    JobResult,
    JobSpec,
    JobView,
    Release,
    SiteReport,
    Work,
)
from cohortlab.federation.tasks import TASKS
from cohortlab_hub.access import Person
from cohortlab_hub.identity import Caller, Principal
from cohortlab_hub.jobs import record
from cohortlab_hub.jobs.bell import heard_or_gone
from cohortlab_hub.jobs.room import Room, room_of, site_of
from cohortlab_hub.jobs.service import job_of, jobs_of
from cohortlab_hub.records import Database

router = APIRouter(tags=["jobs"])
MAX_WAIT = 55.0
"""Seconds for which a request may wait: below the usual minute of proxies."""

TheRoom = Annotated[Room, Depends(room_of)]
Site = Annotated[str, Depends(site_of)]
Job = Annotated[str, Path(pattern=r"^job-[0-9a-f]{32}$")]
TicketId = Annotated[str, Path(pattern=r"^ticket-[0-9a-f]{32}$")]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT)]


@router.get("/federation")
def federation(caller: Caller, database: Database, room: TheRoom) -> Federation:
    """What I can choose from for a job: datasets that I was granted, my projects, the tasks."""
    me = Person(caller.name, caller.groups)
    titles = room.jobs.titles
    return Federation(
        datasets=tuple(
            FederatedDataset(
                id=name,
                title=dataset.title or name,
                description=dataset.description,
                sites=tuple(FederatedSite(name=s, title=titles.get(s, s), connected=room.connected(s)) for s in dataset.sites),
            )
            for name, dataset in (room.jobs.datasets_of(database, me) if caller.kind == "user" else {}).items()
        ),
        projects=tuple(
            FederatedProject(id=name, title=project.title or name, purpose=project.purpose or "")
            for name, project in room.jobs.projects_of(me).items()
        ),
        tasks=tuple(
            FederatedTask(name=info.name, title=info.title, parameters=info.parameters.model_json_schema()) for info in TASKS.values()
        ),
    )


def _submit(room: Room, caller: Principal, spec: JobSpec) -> tuple[JobView, bool]:
    try:
        with room.changing() as database:
            job, new = room.jobs.submit(database, caller, spec)
            return record.view(job, room.jobs.titles), new
    except DuplicateError:  # the same idempotency key at the same time: the other one is there now
        with room.changing() as database:
            job, new = room.jobs.submit(database, caller, spec)
            return record.view(job, room.jobs.titles), new


@router.post("/jobs", status_code=HTTPStatus.CREATED)
async def submit(caller: Caller, room: TheRoom, spec: JobSpec, response: Response) -> JobView:
    """Submit a job. Repeating it with its idempotency key gives the same job again, with 200."""
    view, new = await run_in_threadpool(_submit, room, caller, spec)
    if new:
        room.call(*(site.site for site in view.sites))
    else:
        response.status_code = HTTPStatus.OK
    return view


@router.get("/jobs")
def jobs(
    caller: Caller,
    database: Database,
    room: TheRoom,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[JobView]:
    """My jobs, newest first."""
    return [record.view(job, room.jobs.titles) for job in jobs_of(database, caller, limit, offset)]


@router.get("/jobs/{job_id}")
def job(caller: Caller, database: Database, room: TheRoom, job_id: Job) -> JobView:
    """One of my jobs."""
    return record.view(job_of(database, caller, job_id), room.jobs.titles)


@router.get("/jobs/{job_id}/result")
def job_result(caller: Caller, database: Database, room: TheRoom, job_id: Job) -> JobResult:
    """The result of one of my jobs, when enough sites have released."""
    return record.result(job_of(database, caller, job_id), room.jobs.titles)


def _events(room: Room, caller: Principal, job_id: str, after: int) -> Events:
    with room.sessions.begin() as database:
        row = job_of(database, caller, job_id)
        return Events(events=record.events(database, row, after), job=record.view(row, room.jobs.titles))


@router.get("/jobs/{job_id}/events")
async def job_events(
    caller: Caller, room: TheRoom, request: Request, job_id: Job, *, after: Annotated[int, Query(ge=0)] = 0, wait: Wait = 0
) -> Events:
    """The job's events after number `after`; when there are none yet, waits up to `wait` seconds for one."""
    until = asyncio.get_running_loop().time() + wait
    with room.bell.listen(f"job:{job_id}") as heard:
        while True:
            heard.clear()
            answer = await run_in_threadpool(_events, room, caller, job_id, after)
            left = until - asyncio.get_running_loop().time()
            if answer.events or answer.job.state.final or left <= 0 or not await heard_or_gone(heard, request, left):
                return answer


def _cancel(room: Room, caller: Principal, job_id: str) -> JobView:
    with room.changing() as database:
        row = job_of(database, caller, job_id)
        room.jobs.cancel(database, caller, row)
        return record.view(row, room.jobs.titles)


@router.post("/jobs/{job_id}/cancel")
async def cancel(caller: Caller, room: TheRoom, job_id: Job) -> JobView:
    """Cancel one of my jobs. It is cancelled when every site that works on it has stopped."""
    view = await run_in_threadpool(_cancel, room, caller, job_id)
    room.ring(job_id)
    room.call(*(site.site for site in view.sites))
    return view


@router.get("/sites/self/")
def itself(site: Site, room: TheRoom) -> FederatedSite:
    """This site, as the hub knows it."""
    return FederatedSite(name=site, title=room.jobs.titles[site], connected=room.connected(site))


def _work(room: Room, site: str) -> tuple[Work, set[str]]:
    with room.changing() as database:
        return room.jobs.work(database, site)


@router.get("/sites/self/work")
async def work(site: Site, room: TheRoom, request: Request, wait: Wait = 0) -> Work:
    """Tickets for this site, and tickets to stop; when there are none, waits up to `wait` seconds for one."""
    until = asyncio.get_running_loop().time() + wait
    with room.present(site), room.bell.listen(f"site:{site}") as heard:
        while True:
            heard.clear()
            answer, moved = await run_in_threadpool(_work, room, site)
            room.ring(*moved)
            left = until - asyncio.get_running_loop().time()
            if answer.items or answer.cancel or left <= 0 or not await heard_or_gone(heard, request, left):
                return answer


def _report(room: Room, site: str, ticket_id: str, said: SiteReport) -> str:
    with room.changing() as database:
        return room.jobs.report(database, site, ticket_id, said)


@router.post("/sites/self/tickets/{ticket_id}/events", status_code=HTTPStatus.NO_CONTENT)
async def report(site: Site, room: TheRoom, ticket_id: TicketId, said: SiteReport) -> None:
    """Say how far this site is with a ticket."""
    room.hear(site)
    room.ring(await run_in_threadpool(_report, room, site, ticket_id, said))


def _release(room: Room, site: str, ticket_id: str, release: Release) -> str:
    with room.changing() as database:
        return room.jobs.release(database, site, ticket_id, release)


@router.post("/sites/self/tickets/{ticket_id}/release", status_code=HTTPStatus.NO_CONTENT)
async def release(site: Site, room: TheRoom, ticket_id: TicketId, release: Release) -> None:
    """This site's last word on a ticket: a checked result, or a reason. Repeating it changes nothing."""
    room.hear(site)
    room.ring(await run_in_threadpool(_release, room, site, ticket_id, release))
