"""What the pixel gateways of sessions report: how much of which dataset they sent to their person, for the audit.

A session's gateway sums up and reports once a minute and when it ends, with the session's token: a person can so only report
what they were sent themselves, of a dataset that their session has or had open. A report has an id of the session's own; one
that arrives again, since its answer was lost, is not recorded again.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError as AlreadyThereError
from sqlalchemy.orm import Session

from cohortlab.errors import RefusedError
from cohortlab_hub import audit
from cohortlab_hub.access import held
from cohortlab_hub.access.routes import person
from cohortlab_hub.identity import Caller
from cohortlab_hub.pixels.tables import PixelReportRow
from cohortlab_hub.records import Database

router = APIRouter()

_KEPT: Final = timedelta(days=2)  # a session sends a report again until it is taken, or it ends
_Count = Annotated[int, Field(ge=0, le=2**53)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sent(_Part):
    """What was sent of one dataset from `since` on: answers, bytes of pixels, series and cases (patients)."""

    dataset: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
    since: AwareDatetime
    answers: _Count
    bytes: _Count
    series: _Count
    cases: _Count


class PixelReport(_Part):
    """A report of the session `server`, JupyterHub's name of it."""

    id: uuid.UUID
    server: str = Field(default="", max_length=255)
    sent: list[Sent] = Field(min_length=1, max_length=1000)


@router.post("/reports", status_code=204)
def report(caller: Caller, database: Database, told: PixelReport) -> None:
    """What my session's pixel gateway sent me. For sessions; taken once, however often it is sent."""
    take(database, person(caller).name, told, datetime.now(UTC))


def take(database: Session, who: str, told: PixelReport, now: datetime) -> bool:
    """Record a report as audit events ``pixels.read``; False when it was recorded before.

    Raises `RefusedError` when it names a dataset that this session never had open.
    """
    database.execute(delete(PixelReportRow).where(PixelReportRow.received < now - _KEPT))
    try:
        with database.begin_nested():
            database.add(PixelReportRow(person=who, id=str(told.id), received=now))
    except AlreadyThereError:
        return False
    if {one.dataset for one in told.sent} - held.was_held(database, who, told.server, {one.dataset for one in told.sent}):
        raise RefusedError("This session never had that dataset open.")
    for one in told.sent:
        details = one.model_dump(mode="json", exclude={"dataset"})
        audit.record(database, who, "pixels.read", one.dataset, {**details, "session": told.server})
    return True
