"""What a session may mount, and whether it still may: the access room's decisions, as sessions use them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit
from cohortlab_hub.access import Lease, Person, Terms, grants_of
from cohortlab_hub.access import leases as decide_leases
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.sessions import mounts, notices
from cohortlab_hub.sessions.notices import Kind
from cohortlab_hub.sessions.settings import Profile

_CONDITION = AccessCondition.IN_SITU_PROCESSING


def held(database: Session, terms: Iterable[Terms], person: Person, now: datetime) -> list[Lease]:
    """The leases of `person` for a session at `now`, on datasets with these `terms`."""
    return decide_leases(grants_of(database, person), person, terms, purpose=None, condition=_CONDITION, now=now)


def open_for(database: Session, catalogue: Catalogue, person: Person, profile: Profile) -> dict[str, Path]:
    """The mount table of a session that starts now (dataset id -> folder of its store), as an audit event with its grants."""
    served = catalogue.served()
    leases = held(database, [entry.terms for entry in served], person, datetime.now(UTC))
    stores = {
        entry.id: entry.store for entry in served if entry.store is not None and (profile.datasets is None or entry.id in profile.datasets)
    }
    table = mounts.mount_table(leases, stores)
    grants = {lease.dataset: lease.grant for lease in leases if lease.dataset in table}
    audit.record(database, person.name, "session.start", person.name, {"grants": grants})
    return table


@dataclass(frozen=True, slots=True)
class Mounted:
    """A running session and the datasets that it mounts."""

    person: Person
    server: str
    datasets: frozenset[str]


def warn(
    database: Session,
    catalogue: Catalogue,
    sessions: Iterable[Mounted],
    warned: Collection[tuple[str, str, str]],
    *,
    grace: timedelta,
    now: datetime,
) -> None:
    """Warn each session that mounts a dataset without a lease: it is stopped after `grace`.

    `warned`: person, server and dataset of open notices; one whose lease is there again is taken back.
    """
    terms = [entry.terms for entry in catalogue.served()]
    for one in sessions:
        if not one.datasets:
            continue
        leases = {lease.dataset for lease in held(database, terms, one.person, now)}
        for dataset in sorted(one.datasets):
            known = (one.person.name, one.server, dataset) in warned
            if dataset in leases and known:
                notices.clear(database, one.person.name, Kind.LEASE, subject=dataset, server=one.server)
            elif dataset not in leases and not known:
                message = f"Your access to {dataset} has ended and this session mounts it, so it is stopped. A new one starts without it."
                notices.add(database, one.person.name, Kind.LEASE, message, subject=dataset, server=one.server, stop_at=now + grace)
