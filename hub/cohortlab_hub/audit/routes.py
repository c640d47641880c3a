"""HTTP of the audit: for stewards all events, for people those about themselves."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from cohortlab.errors import RefusedError
from cohortlab_hub.audit import chain
from cohortlab_hub.identity import Caller
from cohortlab_hub.records import Database
from cohortlab_hub.settings import Settings

router = APIRouter(tags=["audit"])

After = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=500)]


class EventAnswer(BaseModel):
    """An audit event. `digest` covers it and all before it."""

    number: int
    at: str
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    digest: str


@router.get("/audit")
def all_events(caller: Caller, database: Database, request: Request, after: After = 0, limit: Limit = 100) -> list[EventAnswer]:
    """Events after number `after`, oldest first. For stewards."""
    settings: Settings = request.app.state.settings
    if caller.kind != "user" or caller.groups.isdisjoint(settings.steward_groups):
        raise RefusedError("Only data stewards do this.", hint="Your own events are at me/audit.")
    return [EventAnswer.model_validate(chain.as_json(event)) for event in chain.events(database, after, limit)]


@router.get("/me/audit")
def my_events(caller: Caller, database: Database, after: After = 0, limit: Limit = 100) -> list[EventAnswer]:
    """What I did, and what became of my sign-in and sessions, oldest first."""
    if caller.kind != "user":
        raise RefusedError("A service has no events of its own.")
    return [EventAnswer.model_validate(chain.as_json(event)) for event in chain.events(database, after, limit, person=caller.name)]
