"""How many leases there are, for metrics."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cohortlab_hub.access.tables import LeaseRow


@dataclass(frozen=True, slots=True)
class Leases:
    """`active`: of running sessions; `ending`: those of them whose session will be stopped; `ended`: of all sessions before."""

    active: int
    ending: int
    ended: int


def leases_now(session: Session) -> Leases:
    """Of now."""
    row = session.execute(
        select(func.count(), func.count(LeaseRow.ended), func.count(LeaseRow.stops).filter(LeaseRow.ended.is_(None))).select_from(LeaseRow)
    ).one()
    total, ended, ending = row
    return Leases(active=total - ended, ending=ending, ended=ended)
