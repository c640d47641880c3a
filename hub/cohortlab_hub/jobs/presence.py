"""When each site was last heard, by whichever process of the service: in the records, so that all of them know."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from cohortlab_hub.jobs.tables import SiteRow


def heard(database: Session, here: Mapping[str, datetime]) -> dict[str, datetime]:
    """Note when this process last heard which site, and read when any of them did."""
    rows = {row.site: row for row in database.scalars(select(SiteRow))}
    for site, moment in here.items():
        row = rows.get(site)
        if row is None:
            rows[site] = row = SiteRow(site=site, heard=moment)
            database.add(row)
        elif row.heard < moment:
            row.heard = moment
    return {site: row.heard for site, row in rows.items()}
