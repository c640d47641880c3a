"""Alembic scripts of the records, one chain of revisions for all rooms."""
