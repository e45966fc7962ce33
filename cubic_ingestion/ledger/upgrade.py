"""Bring the ledger to the schema that this code expects, and say which one it has."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import stamina
from sqlalchemy import Connection, Engine, inspect, text

from cubic_ingestion.errors import SchemaRevisionError, SettingsError
from cubic_ingestion.ledger.engine import UPGRADE_LOCK, reading, translating, writing
from cubic_ingestion.ledger.postgres import is_lock_refused, upgrade_options

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0012"
"""Revision that the models are written for; a constant, because asking Alembic would import it in every run."""


LOCK_SECONDS = 5.0
"""How long a migration waits for a lock before it lets those pass who wait behind it."""

LOCKED_FOR_SECONDS = 300.0
"""For how long it tries again."""

_POLL_SECONDS = 0.5


def upgrade(engine: Engine, revision: str = NEWEST) -> None:
    """Migrate up to a revision; nothing happens if the database is there already.

    On SQLite all is one transaction. On PostgreSQL each revision is one, or can be run again if it was cut short.

    Args:
        engine: Where; the folder of an SQLite file is made if it is missing.
        revision: Where to stop.

    Raises:
        DatabaseUnavailableError: The database refused or dropped the request.
        OldRowError: A row of the old layout has no place in the new one.
        SchemaRevisionError: The schema is newer than this code.
        SettingsError: The file is not an SQLite database, is damaged, or cannot be made.
    """
    _migrate("upgrade", engine, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Undo migrations down to a revision, ``base`` for all; what the older layout cannot hold is parked, not lost."""
    _migrate("downgrade", engine, revision)


def revisions(engine: Engine) -> list[str]:
    """Return the revisions that a database has gone through, newest first: ``downgrade`` can go back to each.

    Raises:
        SchemaRevisionError: It was never migrated, or its schema is newer than this code.
    """
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - heavy, as below

    found = current_revision(engine)
    if found is None or found > NEWEST:
        raise SchemaRevisionError(found, NEWEST)
    scripts = ScriptDirectory.from_config(_configuration())
    return [script.revision for script in scripts.walk_revisions("base", found)]


def current_revision(engine: Engine) -> str | None:
    """Return the revision that the database is at; None if it was never migrated."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def require_newest(engine: Engine) -> None:
    """Make sure that the database has the schema this code expects.

    Raises:
        SchemaRevisionError: It has another, or none.
    """
    found = current_revision(engine)
    if found != NEWEST:
        raise SchemaRevisionError(found, NEWEST)


def _migrate(direction: str, engine: Engine, revision: str) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    if is_sqlite and engine.url.database:
        _make_folder(Path(engine.url.database).parent)
    if (found := current_revision(engine)) and found > NEWEST:
        raise SchemaRevisionError(found, NEWEST)
    if not is_sqlite:
        _migrate_live(direction, engine, revision)
        return
    with writing(engine) as connection:
        _run(direction, connection, revision)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"The folder '{folder}' cannot be made ({error.strerror})."
        raise SettingsError("CUBIC_DATABASE_URL", problem, "Name a file in a folder that can be written to.") from error


def _migrate_live(direction: str, engine: Engine, revision: str) -> None:
    """Migrate a database that others work with: a transaction a revision, and no long wait for any lock.

    A revision whose transaction waits for a lock is taken back after some seconds, so that those who queue up behind it
    go on, and is tried again; so is one that PostgreSQL ends to break a deadlock.
    """
    with _alone(engine):
        for attempt in stamina.retry_context(
            on=is_lock_refused, attempts=None, timeout=LOCKED_FOR_SECONDS, wait_initial=1.0
        ):
            with attempt, translating(engine), engine.connect() as connection:
                _run(direction, connection.execution_options(**upgrade_options(LOCK_SECONDS)), revision)


@contextmanager
def _alone(engine: Engine) -> Generator[None]:
    """Keep other upgrades out, by a lock that the transaction of another connection holds.

    It is asked for again and again, not waited for: building an index waits for every statement that began before it,
    also for one that waits for this lock. For the same reason it is asked without parameters, in the simple protocol:
    a prepared statement would keep its snapshot as long as the transaction.
    """
    ask = f"SELECT pg_try_advisory_xact_lock({UPGRADE_LOCK})"
    with translating(engine), engine.connect().execution_options(**upgrade_options(0)) as connection:
        while not connection.exec_driver_sql(ask).scalar_one():
            connection.rollback()
            sleep(_POLL_SECONDS)
        yield


def _run(direction: str, connection: Connection, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - heavy, and only upgrades need it

    run = command.upgrade if direction == "upgrade" else command.downgrade
    configuration = _configuration()
    configuration.attributes["connection"] = connection
    run(configuration, revision)


def _configuration() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see above

    configuration = Config()
    configuration.set_main_option("script_location", "cubic_ingestion.ledger:migrations")
    return configuration
