"""Sessions: notices, the GPU queue, bookings.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from cohortlab_hub.records.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "session_notices",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("server", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("message", sa.String(1000), nullable=False),
        sa.Column("show_from", UtcDateTime(), nullable=False),
        sa.Column("stop_at", UtcDateTime(), nullable=True),
        sa.Column("extend_to", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("extended_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
    )
    op.create_index("ix_session_notices_person_ended_at", "session_notices", ["person", "ended_at"])
    op.create_table(
        "gpu_queue",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("server", sa.String(255), nullable=False),
        sa.Column("project", sa.String(63), nullable=False),
        sa.Column("profile", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("guarantee_seconds", sa.Integer, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("seen", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer, nullable=True),
        sa.Column("estimate", UtcDateTime(), nullable=True),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("guaranteed", UtcDateTime(), nullable=True),
        sa.Column("ends", UtcDateTime(), nullable=True),
    )
    op.create_index("ix_gpu_queue_state", "gpu_queue", ["state"])
    op.create_table(
        "gpu_kinds",
        sa.Column("kind", sa.String(63), primary_key=True),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("free", sa.Integer, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "gpu_bookings",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("project", sa.String(63), nullable=False),
        sa.Column("start", UtcDateTime(), nullable=False),
        sa.Column("end", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("booked_by", sa.String(255), nullable=False),
        sa.Column("booked_at", UtcDateTime(), nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
    )
    op.create_index("ix_gpu_bookings_end", "gpu_bookings", ["end"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("gpu_bookings")
    op.drop_table("gpu_kinds")
    op.drop_table("gpu_queue")
    op.drop_table("session_notices")
