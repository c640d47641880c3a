"""The hub's records: one database, SQLite embedded or PostgreSQL in production.

A room keeps its tables in its own ``tables.py`` on `Base`; no room reads another's. A route asks for `Database`: a
session whose transaction is committed before the response goes out and rolled back on an error. Code that waits
(long polling) takes `sessions(request)` instead and opens short sessions, since an open transaction holds SQLite's lock.
"""

from cohortlab_hub.records.base import Base
from cohortlab_hub.records.database import Database, alone, engine, opened, reading, session, sessions
from cohortlab_hub.records.migrate import behind, downgrade, migrate

__all__ = ["Base", "Database", "alone", "behind", "downgrade", "engine", "migrate", "opened", "reading", "session", "sessions"]
