"""The record of leases: what a running session mounts, and on which grants that rests. Spawners open them; the watch ends them."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub.access.rules import Decision, Grant, Lease, Person, Terms, decide
from cohortlab_hub.access.tables import LeaseRow


def open_leases(session: Session, person: str, server: str, held: Iterable[Lease], now: datetime, *, purpose: str | None = None) -> None:
    """Record what the session `server` of `person` mounts from now on, instead of what it mounted before.

    `server`: JupyterHub's name of it, empty for the default one. Call it in the transaction that records the session's start.
    """
    close_leases(session, person, server, now)
    for lease in held:
        session.add(
            LeaseRow(
                id=str(uuid.uuid4()),
                person=person,
                server=server,
                dataset=lease.dataset,
                condition=lease.condition.value,
                purpose=purpose,
                grant_id=lease.grant,
                opened=now,
                until=lease.until,
            )
        )
    session.flush()


def close_leases(session: Session, person: str, server: str, now: datetime) -> None:
    """The session has ended, and with it its leases."""
    its = (LeaseRow.person == person) & (LeaseRow.server == server) & LeaseRow.ended.is_(None)
    session.execute(update(LeaseRow).where(its).values(ended=now))


def running(session: Session) -> list[LeaseRow]:
    """The leases of all running sessions, by person, session and dataset."""
    query = select(LeaseRow).where(LeaseRow.ended.is_(None)).order_by(LeaseRow.person, LeaseRow.server, LeaseRow.dataset)
    return list(session.scalars(query))


def of_person(session: Session, person: str) -> list[LeaseRow]:
    """The leases of one person's running sessions."""
    return [row for row in running(session) if row.person == person]


def was_held(session: Session, person: str, server: str, datasets: Iterable[str]) -> set[str]:
    """Those of `datasets` that this session of the person has, or once had, a lease of."""
    its = (LeaseRow.person == person) & (LeaseRow.server == server) & LeaseRow.dataset.in_(list(datasets))
    return set(session.scalars(select(LeaseRow.dataset).where(its).distinct()))


def decided_again(row: LeaseRow, grants: Sequence[Grant], person: Person, terms: Mapping[str, Terms], now: datetime) -> Decision:
    """The decision on a lease as of `now`. `terms`: of the datasets that are served, by id."""
    known = terms.get(row.dataset)
    if known is None:
        return Decision(False, f"{row.dataset} is not served here any more.")
    return decide(grants, person, known, purpose=row.purpose, condition=AccessCondition(row.condition), now=now)
