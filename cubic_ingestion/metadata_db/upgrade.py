"""Bring the metadata database to the schema that this code expects, and say which one it has."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from cubic_ingestion.errors import SchemaRevisionError
from cubic_ingestion.metadata_db.engine import UPGRADE_LOCK, be_alone, make_engine, reading, writing

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0003"
"""Revision that the models are written for; a constant, because asking Alembic would import it in every run."""


def upgrade(database: Engine | str, revision: str = NEWEST) -> None:
    """Migrate up to a revision, in one transaction; nothing happens if the database is there already.

    Args:
        database: An engine or a URL; the folder of an SQLite file is made if it is missing.
        revision: Where to stop.

    Raises:
        DatabaseUnavailableError: The database refused or dropped the request.
        SettingsError: The URL cannot be used.
    """
    _migrate("upgrade", make_engine(database) if isinstance(database, str) else database, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Undo migrations down to a revision, ``base`` for all; what the older layout cannot hold is parked, not lost."""
    _migrate("downgrade", engine, revision)


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
    from alembic import command  # noqa: PLC0415 - heavy, and only upgrades need it

    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with writing(engine) as connection:
        be_alone(connection, UPGRADE_LOCK)
        run = command.upgrade if direction == "upgrade" else command.downgrade
        run(_configuration(connection), revision)


def _configuration(connection: Connection) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see above

    configuration = Config()
    configuration.set_main_option("script_location", "cubic_ingestion.metadata_db:migrations")
    configuration.attributes["connection"] = connection
    return configuration
