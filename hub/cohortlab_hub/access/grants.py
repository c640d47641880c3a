"""The record of grants: add, revoke, find. Each change is an audit event in the same transaction."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit
from cohortlab_hub.access.purposes import PURPOSE, STATED
from cohortlab_hub.access.rules import Grant, Person
from cohortlab_hub.access.tables import GrantRow


def _stateable(code: str) -> str:
    if code not in STATED:
        raise PydanticCustomError("modifier", "A grant states these modifiers: {known}.", {"known": ", ".join(sorted(STATED))})
    return code


Modifier = Annotated[str, AfterValidator(_stateable)]


class NewGrant(BaseModel):
    """What a steward writes down. `fulfils`: modifiers of the dataset's terms (DUO codes) that were checked and are fulfilled."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    subject_kind: Literal["person", "group"] = "person"
    subject: str = Field(min_length=1, max_length=255)
    dataset: str = Field(min_length=1, max_length=128)
    condition: AccessCondition = AccessCondition.IN_SITU_PROCESSING
    purpose: str | None = Field(default=None, pattern=PURPOSE)
    until: AwareDatetime | None = None
    fulfils: list[Modifier] = Field(default=[], max_length=len(STATED))
    reason: str = Field(min_length=3, max_length=1000)


class GrantRecord(NewGrant):
    """A grant with its history. `source`: ``steward``, ``visa`` or ``negotiator``, which calls it `external_id`."""

    id: str
    source: str
    external_id: str | None = None
    granted_by: str
    granted_at: datetime
    revoked_by: str | None = None
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
    for_cause: bool = False


def as_record(row: GrantRow) -> GrantRecord:
    """The grant with its history, as people see it."""
    return GrantRecord.model_validate({name: getattr(row, name) for name in GrantRecord.model_fields})


def as_rule(row: GrantRow) -> Grant:
    """The grant as the rules read it."""
    return Grant(
        id=row.id,
        subject_kind="group" if row.subject_kind == "group" else "person",
        subject=row.subject,
        dataset=row.dataset,
        condition=AccessCondition(row.condition),
        purpose=row.purpose,
        until=row.until,
        revoked_at=row.revoked_at,
        revoked_reason=row.revoked_reason,
        for_cause=row.for_cause,
        fulfils=frozenset(row.fulfils),
    )


def _of(person: Person) -> ColumnElement[bool]:
    return or_(
        and_(GrantRow.subject_kind == "person", GrantRow.subject == person.name),
        and_(GrantRow.subject_kind == "group", GrantRow.subject.in_(person.groups)),
    )


def found(session: Session, grant_id: str) -> GrantRecord | None:
    """The grant of that id, None for none."""
    row = session.get(GrantRow, grant_id)
    return None if row is None else as_record(row)


def grants_of(session: Session, person: Person) -> list[Grant]:
    """All grants that concern `person`, ended and revoked ones too, since a refusal tells of them."""
    return [as_rule(row) for row in session.scalars(select(GrantRow).where(_of(person)))]


def listed(
    session: Session,
    person: Person | None = None,
    dataset: str | None = None,
    *,
    subject: str | None = None,
    holding: datetime | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[GrantRecord]:
    """Grants, newest first; of one person, on one dataset, to the person or group `subject`, those that hold at `holding`; or all."""
    query = select(GrantRow).order_by(GrantRow.granted_at.desc(), GrantRow.id).limit(limit).offset(offset)
    if person is not None:
        query = query.where(_of(person))
    if dataset is not None:
        query = query.where(GrantRow.dataset == dataset)
    if subject is not None:
        query = query.where(GrantRow.subject == subject)
    if holding is not None:
        query = query.where(GrantRow.revoked_at.is_(None), or_(GrantRow.until.is_(None), GrantRow.until > holding))
    return [as_record(row) for row in session.scalars(query)]


def add(
    session: Session, actor: str, new: NewGrant, known: set[str], *, source: str = "steward", external_id: str | None = None
) -> GrantRecord:
    """Record a grant. Raises `NotFoundError` for a dataset that is not among `known`, `InvalidInputError` for an end in the past."""
    if new.dataset not in known:
        raise NotFoundError(f"There is no dataset {new.dataset}.", hint=f"Known here: {', '.join(sorted(known)) or 'none'}.")
    now = datetime.now(UTC)
    if new.until is not None and new.until <= now:
        raise InvalidInputError("The grant would end before it begins.", hint="Give an end in the future, or none.")
    row = GrantRow(
        id=str(uuid.uuid4()), granted_by=actor, granted_at=now, source=source, external_id=external_id, for_cause=False, **new.model_dump()
    )
    session.add(row)
    details = {"id": row.id, **new.model_dump(mode="json", exclude={"dataset"})}
    audit.record(session, actor, "grant.add", new.dataset, details)
    return as_record(row)


def revoke(session: Session, actor: str, grant_id: str, reason: str, *, for_cause: bool = False) -> GrantRecord:
    """End a grant now. `for_cause`: sessions are stopped without grace.

    Raises `NotFoundError`; a grant that is revoked already keeps its first revocation.
    """
    row = session.get(GrantRow, grant_id, with_for_update=True)
    if row is None:
        raise NotFoundError("There is no such grant.", hint="`cohortlab grants list` shows their ids.")
    if row.revoked_at is None:
        row.revoked_by, row.revoked_at, row.revoked_reason, row.for_cause = actor, datetime.now(UTC), reason, for_cause
        details = {"id": row.id, "subject_kind": row.subject_kind, "subject": row.subject, "reason": reason, "for_cause": for_cause}
        audit.record(session, actor, "grant.revoke", row.dataset, details)
    return as_record(row)
