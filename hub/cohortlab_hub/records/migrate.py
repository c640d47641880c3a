"""Migrations, run by the program itself: the scripts lie in this package, so an installed wheel carries them."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from cohortlab.errors import StorageError
from cohortlab_hub.records.database import READ_ONLY, engine

_LOCK = 0x636F686F  # any constant: two hubs on one PostgreSQL take turns


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at `url` up to `revision`, in one transaction. Running it again, or twice at once, is safe."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str = "base") -> None:
    """Take the database back to `revision`. What newer revisions recorded is lost."""
    _run(url, lambda config: command.downgrade(config, revision))


def behind(engine: Engine) -> bool:
    """Whether the database lacks a revision that this program needs.

    A revision that it does not know is of a newer program, which is being rolled out: that is not behind.
    """
    with engine.connect() as connection:
        connection.execution_options(**READ_ONLY)
        there = revision_of(connection)
    return there is None or (knows(there) and there not in _scripts().get_heads())


def revision_of(connection: Connection) -> str | None:
    """The revision of the database; None where there are no records yet."""
    return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Whether this program has the revision."""
    return any(script.revision == revision for script in _scripts().walk_revisions())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).with_name("migrations")))


def _run(url: str, action: Callable[[Config], None]) -> None:
    made = engine(url)
    try:
        if made.dialect.name == "sqlite" and made.url.database:
            Path(made.url.database).parent.mkdir(parents=True, exist_ok=True)
        with made.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            action(_config(connection))
    except DBAPIError as error:
        # The driver's words say what is wrong (disk full, locked, refused); the URL may hold a password and is not shown.
        raise StorageError(
            f"The records cannot be opened: {error.orig}.", hint="Look at `database` in workbench.yaml, and at the disk."
        ) from None
    finally:
        made.dispose()
