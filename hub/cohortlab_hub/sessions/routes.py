"""HTTP of sessions: what its user is told before a stop."""

from datetime import UTC, datetime

from fastapi import APIRouter

from cohortlab_hub.access.routes import person
from cohortlab_hub.identity import Caller
from cohortlab_hub.records import Database
from cohortlab_hub.sessions import notices
from cohortlab_hub.sessions.notices import Notice

router = APIRouter(tags=["sessions"])


@router.get("/sessions/self/notices")
def my_notices(caller: Caller, database: Database, server: str | None = None) -> list[Notice]:
    """What I am told of my sessions (or of one), the most urgent first. A session asks this for its banner."""
    return notices.shown(database, person(caller).name, datetime.now(UTC), server)


@router.post("/sessions/self/notices/{notice}/extend")
def extend(caller: Caller, database: Database, notice: str) -> Notice:
    """Put a stop off, where that is allowed."""
    return notices.extend(database, person(caller).name, notice, datetime.now(UTC))
