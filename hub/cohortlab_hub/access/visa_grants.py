"""Grants that rest on visas: what a passport says now, and what is recorded, brought together. Each change is an audit event.

A visa that is no longer in the passport ends its grant at once; one whose issuer does not answer is left as it was verified
last, until its own end; one that a data steward revoked comes back only when it is asserted anew after that.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit
from cohortlab_hub.access.tables import GrantRow

SOURCE = "visa"
ACTOR = "passport"
_SOON = timedelta(minutes=10)
_WORTH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class VisaGrant:
    """A ControlledAccessGrants visa that counts, for one dataset: `value` is its name of it, `fulfils` what its issuer has checked."""

    dataset: str
    issuer: str
    value: str
    source: str
    asserted: datetime
    until: datetime
    fulfils: tuple[str, ...] = ()

    @property
    def external_id(self) -> str:
        """What tells it from others."""
        return f"{self.issuer} {self.value}"


def sync(session: Session, person: str, wanted: Iterable[VisaGrant], unreachable: Iterable[str], now: datetime) -> None:
    """Make the recorded visa grants of `person` those of `wanted`. `unreachable`: issuers of whom nothing is known now."""
    rows = list(
        session.scalars(select(GrantRow).where(GrantRow.source == SOURCE, GrantRow.subject_kind == "person", GrantRow.subject == person))
    )
    best: dict[tuple[str, str], VisaGrant] = {}
    for grant in sorted(wanted, key=lambda grant: grant.until):
        best[grant.dataset, grant.external_id] = grant
    active = {
        (row.dataset, row.external_id or ""): row for row in rows if row.revoked_at is None and (row.until is None or row.until > now)
    }
    for key, row in active.items():
        if key in best:
            row.fulfils = list(best[key].fulfils)
            _renew(session, person, row, best[key].until, now)
        elif not any((row.external_id or "").startswith(f"{issuer} ") for issuer in unreachable):
            row.revoked_by, row.revoked_at, row.revoked_reason = ACTOR, now, "The visa is no longer in your passport"
            audit.record(session, ACTOR, "grant.revoke", row.dataset, {"id": row.id, "subject": person, "reason": row.revoked_reason})
    refused = _refused(rows)
    for key, grant in best.items():
        if key not in active and not (key in refused and refused[key] >= grant.asserted):
            _add(session, person, grant, now)


def _refused(rows: Iterable[GrantRow]) -> Mapping[tuple[str, str], datetime]:
    """When a steward last revoked a visa's grant."""
    found: dict[tuple[str, str], datetime] = {}
    for row in rows:
        if row.revoked_at is not None and row.revoked_by != ACTOR:
            key = row.dataset, row.external_id or ""
            found[key] = max(row.revoked_at, found.get(key, row.revoked_at))
    return found


def _renew(session: Session, person: str, row: GrantRow, until: datetime, now: datetime) -> None:
    """Issuers sign anew at every refresh: a longer end is recorded when it matters, a shorter one always."""
    before = row.until
    if before is None or until == before or (until > before and until - before < _WORTH and before - now > _SOON):
        return
    row.until = until
    audit.record(session, ACTOR, "grant.renew", row.dataset, {"id": row.id, "subject": person, "until": until.isoformat()})


def _add(session: Session, person: str, grant: VisaGrant, now: datetime) -> None:
    row = GrantRow(
        id=str(uuid.uuid4()),
        subject_kind="person",
        subject=person,
        dataset=grant.dataset,
        condition=AccessCondition.IN_SITU_PROCESSING.value,
        purpose=None,
        until=grant.until,
        reason=f"A visa of {grant.source}",
        granted_by=grant.issuer,
        granted_at=now,
        source=SOURCE,
        external_id=grant.external_id,
        for_cause=False,
        fulfils=list(grant.fulfils),
    )
    session.add(row)
    details = {"id": row.id, "subject": person, "issuer": grant.issuer, "value": grant.value, "until": grant.until.isoformat()}
    audit.record(session, ACTOR, "grant.add", grant.dataset, details)
