"""HTTP of access: what I may do and why; for stewards, grants."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cohortlab.errors import NotFoundError, RefusedError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import grants as record
from cohortlab_hub.access import held
from cohortlab_hub.access.grants import GrantRecord, NewGrant
from cohortlab_hub.access.purposes import PURPOSE
from cohortlab_hub.access.rules import Person, decide
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.identity import Caller, Principal
from cohortlab_hub.records import Database
from cohortlab_hub.settings import Settings

router = APIRouter(tags=["access"])

Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0)]


class DecisionAnswer(BaseModel):
    """A decision: yes or no, why, and until when."""

    dataset: str
    condition: AccessCondition
    purpose: str | None
    allowed: bool
    reason: str
    until: datetime | None
    obligations: list[str]


class Revocation(BaseModel):
    """Why a grant ends. `for_cause`: a session that has the dataset open is stopped at once, without the usual grace."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=3, max_length=1000)
    for_cause: bool = False


class LeaseAnswer(BaseModel):
    """A dataset that a running session of mine has open. `stops`: when it will be stopped, for `reason`."""

    server: str
    dataset: str
    condition: AccessCondition
    purpose: str | None
    opened: datetime
    until: datetime | None
    stops: datetime | None
    reason: str | None


class SessionLease(BaseModel):
    """Whether a session may still show a dataset that it has open, decided now, and why or why not."""

    dataset: str
    allowed: bool
    reason: str
    until: datetime | None


def person(caller: Principal) -> Person:
    """The caller as the rules read it. Raises `RefusedError` for a service: grants are people's."""
    if caller.kind != "user":
        raise RefusedError("Access is granted to people; a service has none of its own.")
    return Person(caller.name, caller.groups)


def steward(caller: Caller, request: Request) -> Principal:
    """FastAPI dependency: the caller, who must be a data steward. Raises `RefusedError`."""
    settings: Settings = request.app.state.settings
    if caller.kind != "user" or caller.groups.isdisjoint(settings.steward_groups):
        raise RefusedError("Only data stewards do this.", hint="Ask a data steward.")
    return caller


Steward = Annotated[Principal, Depends(steward)]


@router.get("/me/grants")
def my_grants(caller: Caller, database: Database, limit: Limit = 100, offset: Offset = 0) -> list[GrantRecord]:
    """My grants, ended and revoked ones too."""
    return record.listed(database, person(caller), limit=limit, offset=offset)


@router.get("/me/leases")
def my_leases(caller: Caller, database: Database) -> list[LeaseAnswer]:
    """What my running sessions have open."""
    rows = held.of_person(database, person(caller).name)
    return [LeaseAnswer.model_validate({name: getattr(row, name) for name in LeaseAnswer.model_fields}) for row in rows]


@router.get("/sessions/self/leases")
def session_leases(caller: Caller, database: Database, request: Request, server: str = "") -> list[SessionLease]:
    """What my session `server` has open, each decided anew. A session's pixel gateway asks this every few seconds while it is used."""
    catalogue: Catalogue = request.app.state.catalogue
    me, now = person(caller), datetime.now(UTC)
    rows = [row for row in held.of_person(database, me.name) if row.server == server]
    grants, terms = catalogue.grants(database, me), {entry.id: entry.terms for entry in catalogue.served()}
    answers = []
    for row in rows:
        decision = held.decided_again(row, grants, me, terms, now)
        answers.append(SessionLease(dataset=row.dataset, allowed=decision.allowed, reason=decision.reason, until=decision.until))
    return answers


@router.get("/me/decisions")
def my_decisions(
    caller: Caller,
    database: Database,
    request: Request,
    *,
    condition: AccessCondition = AccessCondition.IN_SITU_PROCESSING,
    dataset: str | None = None,
    purpose: Annotated[str | None, Query(pattern=PURPOSE)] = None,
) -> list[DecisionAnswer]:
    """For one dataset or each: may I use it now, and why or why not."""
    catalogue: Catalogue = request.app.state.catalogue
    entries = [entry for entry in catalogue.entries() if dataset is None or entry.id == dataset]
    if dataset is not None and not entries:
        raise NotFoundError(f"There is no dataset {dataset}.")
    me, now = person(caller), datetime.now(UTC)
    grants = catalogue.grants(database, me)
    answers = []
    for entry in entries:
        decision = decide(grants, me, entry.terms, purpose=purpose, condition=condition, now=now)
        answers.append(
            DecisionAnswer(
                dataset=entry.id,
                condition=condition,
                purpose=purpose,
                allowed=decision.allowed,
                reason=decision.reason,
                until=decision.until,
                obligations=list(decision.obligations),
            )
        )
    return answers


@router.get("/grants")
def all_grants(
    _steward: Steward, database: Database, dataset: str | None = None, limit: Limit = 100, offset: Offset = 0
) -> list[GrantRecord]:
    """All grants, newest first. For stewards."""
    return record.listed(database, dataset=dataset, limit=limit, offset=offset)


@router.post("/grants", status_code=201)
def add_grant(steward: Steward, database: Database, request: Request, new: NewGrant) -> GrantRecord:
    """Grant a person or a group a dataset. For stewards."""
    settings: Settings = request.app.state.settings
    return record.add(database, steward.name, new, set(settings.datasets))


@router.post("/grants/{grant_id}/revoke")
def revoke_grant(
    steward: Steward, database: Database, grant_id: str, why: Revocation, *, request: Request, after: BackgroundTasks
) -> GrantRecord:
    """End a grant now. For stewards."""
    after.add_task(look_now, request)
    return record.revoke(database, steward.name, grant_id, why.reason, for_cause=why.for_cause)


async def look_now(request: Request) -> None:
    """Have the watch look at running sessions now, rather than within seconds."""
    if request.app.state.watch is not None:
        request.app.state.watch.ring()
