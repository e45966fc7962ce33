"""Dagster's own storage: a database that this package does not open, whose errors people get to read all the same."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import OperationalError

from cubic_ingestion.errors import SettingsError

_ERRORS = (OperationalError, sqlite3.OperationalError)


@contextmanager
def dagster_storage_errors(folder: Path, *further: type[Exception]) -> Generator[None]:
    """Turn errors of Dagster's storage into one line; those of the ledger are translated already.

    Args:
        folder: Where Dagster keeps its files.
        further: Other errors that only the storage can raise inside.

    Raises:
        SettingsError: The storage cannot be used, for example because the disk is full.
    """
    try:
        yield
    except (*_ERRORS, *further) as error:
        reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        problem = f"Dagster's storage in '{folder}' cannot be used ({reason})."
        raise SettingsError("DAGSTER_HOME", problem, "Make room there, or name another folder.") from error
