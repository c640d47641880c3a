"""Alembic's environment: runs the revisions on the connection that `cohortlab_hub.records.migrate` hands over."""

from alembic import context

from cohortlab_hub.records.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
