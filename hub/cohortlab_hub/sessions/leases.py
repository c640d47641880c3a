"""What a session may mount: the access room's decisions, as sessions use them. Whether it still may: `cohortlab_hub.access.watch`."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from cohortlab.store.contracts import AccessCondition
from cohortlab_hub import audit
from cohortlab_hub.access import Person
from cohortlab_hub.access import leases as decide_leases
from cohortlab_hub.access.held import open_leases
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.sessions import mounts
from cohortlab_hub.sessions.settings import Profile

_CONDITION = AccessCondition.IN_SITU_PROCESSING


def open_for(
    database: Session, catalogue: Catalogue, person: Person, profile: Profile, *, server: str = "", purpose: str | None = None
) -> dict[str, Path]:
    """The mount table of the session `server` that starts now (dataset id -> folder of its store).

    Its leases are recorded, for the watch, and the start is an audit event with the grants that it rests on.
    """
    now, served = datetime.now(UTC), catalogue.served()
    grants, terms = catalogue.grants(database, person), [entry.terms for entry in served]
    leases = decide_leases(grants, person, terms, purpose=purpose, condition=_CONDITION, now=now)
    stores = {
        entry.id: entry.store for entry in served if entry.store is not None and (profile.datasets is None or entry.id in profile.datasets)
    }
    table = mounts.mount_table(leases, stores)
    held = [lease for lease in leases if lease.dataset in table]
    open_leases(database, person.name, server, held, now, purpose=purpose)
    details = {"server": server, "purpose": purpose, "grants": {lease.dataset: lease.grant for lease in held}}
    audit.record(database, person.name, "session.start", person.name, details)
    return table
