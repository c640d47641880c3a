"""HTTP of the catalogue: the datasets that the caller was granted."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access import Person, decide, grants_of
from cohortlab_hub.catalogue.entries import Catalogue
from cohortlab_hub.identity import Caller
from cohortlab_hub.records import Database

router = APIRouter(tags=["catalogue"])


class DatasetAnswer(BaseModel):
    """A dataset as a person sees it. `access`: what their grant allows at most; `mounted`: it lies in their session."""

    id: str
    title: str
    description: str
    version: str | None
    condition: AccessCondition
    purposes: list[str]
    series: int | None
    sites: list[str]
    access: AccessCondition
    mounted: bool
    until: datetime | None


@router.get("/datasets")
def datasets(caller: Caller, database: Database, request: Request) -> list[DatasetAnswer]:
    """The datasets that I was granted, by id. A service sees none: grants are people's."""
    if caller.kind != "user":
        return []
    catalogue: Catalogue = request.app.state.catalogue
    me, now = Person(caller.name, caller.groups), datetime.now(UTC)
    grants = grants_of(database, me)
    answers = []
    for entry in catalogue.served():
        for access in (AccessCondition.DOWNLOAD, AccessCondition.IN_SITU_PROCESSING, AccessCondition.REMOTE_PROCESSING):
            decision = decide(grants, me, entry.terms, purpose=None, condition=access, now=now)
            if decision.allowed:
                break
        else:
            continue
        answers.append(
            DatasetAnswer(
                id=entry.id,
                title=entry.title,
                description=entry.description,
                version=entry.version,
                condition=entry.condition,
                purposes=sorted(entry.purposes),
                series=entry.series,
                sites=list(entry.sites),
                access=access,
                mounted=entry.store is not None and access != AccessCondition.REMOTE_PROCESSING,
                until=decision.until,
            )
        )
    return answers
