"""Federated jobs, their tickets and events.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from cohortlab_hub.records.base import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("owner_groups", sa.Text, nullable=False),
        sa.Column("dataset", sa.String(128), nullable=False),
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("project", sa.String(63), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("minimum", sa.Integer, nullable=False),
        sa.Column("cancelling", sa.Boolean, nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        sa.Column("asked", sa.String(64), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("updated", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_jobs_owner"),
    )
    op.create_index("ix_jobs_owner_created", "jobs", ["owner", "created"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_table(
        "job_tickets",
        sa.Column("id", sa.String(39), primary_key=True),
        sa.Column("job_id", sa.String(36), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("release", sa.Text, nullable=True),
        sa.UniqueConstraint("job_id", "site", name="uq_job_tickets_job_id"),
    )
    op.create_index("ix_job_tickets_site_state", "job_tickets", ["site", "state"])
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(36), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("reason", sa.String(32), nullable=True),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("job_events")
    op.drop_table("job_tickets")
    op.drop_table("jobs")
