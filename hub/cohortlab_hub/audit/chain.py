"""The chain: each event's SHA-256 covers its own columns and the digest of the one before it.

A changed, removed or inserted event breaks the chain at that place, which `verify` finds. That somebody cut events off
the end is seen only against a digest that was noted elsewhere: `verify` returns the last one for that purpose.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.orm import Session

from cohortlab.errors import IntegrityError
from cohortlab.keys import canonical_json
from cohortlab_hub.audit.tables import AuditEvent

_START = "0" * 64
_LOCK = 0x61756469  # PostgreSQL: events are numbered one after another


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An event as it is read."""

    number: int
    at: str
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    digest: str


def _digest(event: AuditEvent) -> str:
    columns = [event.number, event.at, event.actor, event.action, event.target, event.details, event.previous]
    return hashlib.sha256(canonical_json(columns)).hexdigest()


def record(session: Session, actor: str, action: str, target: str, details: Mapping[str, Any] | None = None) -> None:
    """Append an event in the caller's transaction: what happened and its event are stored together or not at all.

    `actor` and `target` are names, `action` is a word like ``grant.add``. No secret and no value of a patient in `details`.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    session.flush()
    last = session.scalars(select(AuditEvent).order_by(AuditEvent.number.desc()).limit(1)).first()
    event = AuditEvent(
        number=last.number + 1 if last else 1,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        actor=actor,
        action=action,
        target=target,
        details=canonical_json(dict(details or {})).decode(),
        previous=last.digest if last else _START,
    )
    event.digest = _digest(event)
    session.add(event)
    session.flush()


def events(session: Session, after: int = 0, limit: int = 100, *, newest: bool = False, person: str | None = None) -> list[AuditRecord]:
    """Up to `limit` events with a number above `after`, oldest first; with `newest` the last ones, newest first.

    With `person` only what that account did, and what was done to its sign-in and sessions. A dataset of the same name is not meant.
    """
    order = AuditEvent.number.desc() if newest else AuditEvent.number
    query = select(AuditEvent).where(AuditEvent.number > after).order_by(order).limit(limit)
    if person is not None:
        own = or_(AuditEvent.action.startswith("person."), AuditEvent.action.startswith("session."))
        query = query.where(or_(AuditEvent.actor == person, and_(AuditEvent.target == person, own)))
    rows = session.scalars(query)
    return [AuditRecord(e.number, e.at, e.actor, e.action, e.target, json.loads(e.details), e.digest) for e in rows]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many events there are up to number `last`, by action; `sums`: the numbers of their details, by action and name."""

    last: int
    actions: Counter[str]
    sums: Counter[tuple[str, str]]


def tally(session: Session, after: int, summed: Mapping[str, Iterable[str]]) -> Tally:
    """Of the events with a number above `after`. `summed`: action -> names of details that are numbers to be summed."""
    last = session.scalar(select(func.max(AuditEvent.number))) or 0
    these = (AuditEvent.number > after) & (AuditEvent.number <= last)
    counted = session.execute(select(AuditEvent.action, func.count()).where(these).group_by(AuditEvent.action))
    sums: Counter[tuple[str, str]] = Counter()
    rows = session.execute(select(AuditEvent.action, AuditEvent.details).where(these, AuditEvent.action.in_(list(summed))))
    for row in rows:
        action, details = row[0], json.loads(row[1])
        sums.update({(action, name): details.get(name, 0) for name in summed[action]})
    return Tally(max(last, after), Counter({row[0]: row[1] for row in counted}), sums)


def as_json(event: AuditRecord) -> dict[str, Any]:
    """The event for machines."""
    return asdict(event)


def _chain(session: Session) -> Generator[AuditEvent]:
    with session.scalars(select(AuditEvent).order_by(AuditEvent.number).execution_options(yield_per=1000)) as rows:
        yield from rows


def verify(session: Session) -> tuple[int, str]:
    """(number of events, digest of the last). Raises `IntegrityError` naming the first event that does not fit the chain."""
    previous, number = _START, 0
    with closing(_chain(session)) as chain:  # a cursor on the server, which a broken chain must not leave open
        for event in chain:
            number += 1
            if event.number != number:
                raise IntegrityError(f"The audit chain is broken: event {number} is missing.", hint="Compare with a backup of the records.")
            if event.previous != previous or event.digest != _digest(event):
                raise IntegrityError(
                    f"The audit chain is broken at event {number}: it was changed.", hint="Compare with a backup of the records."
                )
            previous = event.digest
    return number, previous
