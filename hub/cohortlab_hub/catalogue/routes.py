"""HTTP of the catalogue: what there is to find, and the datasets that the caller was granted."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session

from cohortlab.errors import NotFoundError
from cohortlab.store.contracts import SCHEMA_VERSION, AccessCondition, SeriesAttributes
from cohortlab_hub.access import Decision, Person
from cohortlab_hub.access.best import best as most
from cohortlab_hub.access.projects import purposes_of
from cohortlab_hub.access.purposes import obligations
from cohortlab_hub.catalogue.entries import Catalogue, Entry
from cohortlab_hub.identity import Caller, Principal
from cohortlab_hub.records import Database
from cohortlab_hub.settings import Settings

router = APIRouter(tags=["catalogue"])
_LEAST = 5  # fewer series than that of a kind, where the data stays at its sites, are not counted to people


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


class CatalogueAnswer(BaseModel):
    """A dataset that there is. `access`: what the caller's grants allow at most, None: nothing; `reason`: why, and what to do.

    `counts`: series by kind and modality, None: fewer than five. `sample`: a synthetic dataset that stands for one that is never
    mounted. `obligations`: what whoever uses it promises.
    """

    id: str
    title: str
    description: str
    version: str | None
    condition: AccessCondition
    purposes: list[str]
    diseases: dict[str, str]
    obligations: list[str]
    counts: dict[str, int | None]
    sites: list[str]
    sample: str | None
    access: AccessCondition | None
    reason: str
    until: datetime | None


class FieldAnswer(BaseModel):
    """A field of a series' attributes: its name, and what it holds as JSON Schema."""

    name: str
    holds: dict[str, Any]


class SchemaAnswer(BaseModel):
    """What a dataset's series are described by: what jobs find where the data is. `version` counts up when a meaning changes."""

    dataset: str
    version: int
    fields: list[FieldAnswer]
    definitions: dict[str, Any]


class _Me:
    """The caller's grants and purposes now, for decisions on several datasets."""

    def __init__(self, caller: Principal, database: Session, request: Request) -> None:
        self.catalogue: Catalogue = request.app.state.catalogue
        settings: Settings = request.app.state.settings
        self.person = Person(caller.name, caller.groups)
        self.now = datetime.now(UTC)
        self.grants = self.catalogue.grants(database, self.person)
        self.purposes: Iterable[str | None] = [None, *sorted(purposes_of(settings, self.person))]

    def best(self, entry: Entry) -> tuple[AccessCondition | None, Decision]:
        """What is allowed at most, for any of the caller's purposes; else the refusal of the least."""
        return most(self.grants, self.person, entry.terms, self.purposes, self.now)


def _me(caller: Caller, database: Database, request: Request) -> _Me:
    return _Me(caller, database, request)


Me = Annotated[_Me, Depends(_me)]


@router.get("/datasets")
def datasets(caller: Caller, me: Me) -> list[DatasetAnswer]:
    """The datasets that I was granted, by id. A service sees none: grants are people's."""
    if caller.kind != "user":
        return []
    answers = []
    for entry in me.catalogue.served():
        access, decision = me.best(entry)
        if access is not None:
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


@router.get("/catalogue")
def catalogue(me: Me, limit: Annotated[int, Query(ge=1, le=500)] = 100, offset: Annotated[int, Query(ge=0)] = 0) -> list[CatalogueAnswer]:
    """All datasets of this workbench, by id, with what I may do with each and how to ask for more."""
    return [_found(me, entry) for entry in me.catalogue.served()[offset : offset + limit]]


@router.get("/catalogue/{dataset}")
def one(me: Me, dataset: str) -> CatalogueAnswer:
    """One dataset of this workbench."""
    return _found(me, _served(me, dataset))


@router.get("/catalogue/{dataset}/schema")
def schema(me: Me, dataset: str) -> SchemaAnswer:
    """What the series of a dataset are described by."""
    entry = _served(me, dataset)
    model = SeriesAttributes.model_json_schema()
    fields = [FieldAnswer(name=name, holds=part) for name, part in model["properties"].items()]
    return SchemaAnswer(dataset=entry.id, version=SCHEMA_VERSION, fields=fields, definitions=model.get("$defs", {}))


def _served(me: _Me, dataset: str) -> Entry:
    entry = next((entry for entry in me.catalogue.served() if entry.id == dataset), None)
    if entry is None:
        raise NotFoundError(f"There is no dataset {dataset}.")
    return entry


def _found(me: _Me, entry: Entry) -> CatalogueAnswer:
    access, decision = me.best(entry)
    remote = entry.condition == AccessCondition.REMOTE_PROCESSING
    return CatalogueAnswer(
        id=entry.id,
        title=entry.title,
        description=entry.description,
        version=entry.version,
        condition=entry.condition,
        purposes=sorted(entry.purposes),
        diseases={code: entry.diseases.title(code) for code in sorted(entry.use.diseases)},
        obligations=list(obligations(entry.use)),
        counts={kind: None if remote and count < _LEAST else count for kind, count in entry.counts.items()},
        sites=list(entry.sites),
        sample=entry.sample,
        access=access,
        reason=decision.reason,
        until=decision.until,
    )
