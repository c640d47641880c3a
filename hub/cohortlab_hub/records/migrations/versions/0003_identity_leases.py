"""Who an account is at its provider; where a grant comes from; leases; deliveries of a negotiator.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from cohortlab_hub.records.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the columns of grants."""
    op.create_table(
        "identities",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("issuer", "subject", name="uq_identities_issuer"),
    )
    with op.batch_alter_table("grants") as grants:
        grants.add_column(sa.Column("source", sa.String(16), nullable=False, server_default="steward"))
        grants.add_column(sa.Column("external_id", sa.String(600), nullable=True))
        grants.add_column(sa.Column("for_cause", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("ix_grants_external_id", "grants", ["source", "external_id"])
    op.create_table(
        "leases",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("server", sa.String(255), nullable=False),
        sa.Column("dataset", sa.String(128), nullable=False),
        sa.Column("condition", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=True),
        sa.Column("grant_id", sa.String(36), nullable=False),
        sa.Column("opened", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("warned", UtcDateTime(), nullable=True),
        sa.Column("stops", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("ended", UtcDateTime(), nullable=True),
    )
    op.create_index("ix_leases_person", "leases", ["person", "server"])
    op.create_index("ix_leases_ended", "leases", ["ended"])
    op.create_table(
        "negotiations",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("received", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables and columns. Grants of visas and of a negotiator stay, as if a steward had given them."""
    op.drop_table("negotiations")
    op.drop_table("leases")
    op.drop_index("ix_grants_external_id", "grants")
    with op.batch_alter_table("grants") as grants:
        grants.drop_column("for_cause")
        grants.drop_column("external_id")
        grants.drop_column("source")
    op.drop_table("identities")
