"""What a grant states as fulfilled: modifiers of the Data Use Ontology.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Grants that are there state nothing."""
    with op.batch_alter_table("grants") as grants:
        grants.add_column(sa.Column("fulfils", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    """What was stated is lost; the audit events keep it."""
    with op.batch_alter_table("grants") as grants:
        grants.drop_column("fulfils")
