"""Reports of pixels that sessions sent.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from cohortlab_hub.records.base import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "pixel_reports",
        sa.Column("person", sa.String(255), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("received", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_pixel_reports_received", "pixel_reports", ["received"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("pixel_reports")
