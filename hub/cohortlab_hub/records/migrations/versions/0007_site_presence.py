"""When sites were last heard, so that several processes of the service know.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from cohortlab_hub.records.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "job_sites",
        sa.Column("site", sa.String(63), primary_key=True),
        sa.Column("heard", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("job_sites")
