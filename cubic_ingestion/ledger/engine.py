"""Connections to SQLite and PostgreSQL, and the errors of both in the platform's words."""

import os
import sqlite3
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from cubic_ingestion.errors import DatabaseUnavailableError, SettingsError
from cubic_ingestion.ledger.postgres import PostgresLimits, libpq_options, make_postgres_engine
from cubic_ingestion.outside_text import visible

BUSY_TIMEOUT_SECONDS = 30
"""How long SQLite waits for another writer; our transactions take milliseconds, an upgrade some seconds."""

SYNC_LOCK, UPGRADE_LOCK, FEED_LOCK, CATALOG_LOCK = 0x43554201, 0x43554202, 0x43554203, 0x43554204
"""Numbers of PostgreSQL advisory locks: ``CUB`` and a counter.

Whoever delivers old changes again takes ``FEED_LOCK`` with others, and whoever forgets them alone: until it commits,
neither sees what the other does. Whoever creates the tables of the warehouse's catalog takes ``CATALOG_LOCK`` alone.
"""

_PRIMARY_CODE = 0xFF
_UNUSABLE_FILE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_SQLITE_OPTIONS = {"uri", "timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}
_READING = {"cubic_is_reading": True}


def make_engine(url: str, limits: PostgresLimits) -> Engine:
    """Prepare connections to the ledger; none is opened yet.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``; the driver, psycopg 3, is written in if it is left out.
        limits: What a process takes of a PostgreSQL server.

    Raises:
        SettingsError: The URL cannot be used.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        if "uri" not in parsed.query:  # else all others are for SQLite itself, which ignores those it does not know
            _refuse_unknown(parsed, _SQLITE_OPTIONS)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "checkin", _end_sqlite)
        return engine
    _refuse_unknown(parsed, libpq_options())
    return make_postgres_engine(parsed, limits)


@contextmanager
def open_engine(url: str, limits: PostgresLimits) -> Generator[Engine]:
    """Prepare connections as ``make_engine`` does, and close them at the end.

    A process may come here again and again (an AWS Lambda container, a Dagster worker), and what it leaves open counts
    towards the connections that the server has.
    """
    engine = make_engine(url, limits)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """Open a transaction that only reads: on SQLite it waits for nobody and nobody waits for it.

    Raises:
        DatabaseUnavailableError: The database refused or dropped the request.
    """
    with translating(engine), engine.execution_options(**_READING).begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Open a transaction that may write; it is committed at the end, or rolled back if anything is raised.

    Raises:
        DatabaseUnavailableError: The database refused or dropped the request.
    """
    with translating(engine), engine.begin() as connection:
        yield connection


def be_alone(connection: Connection, lock: int) -> None:
    """Wait until no other transaction does what ``lock`` stands for; on SQLite a writing one is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(lock)))


def be_with_others(connection: Connection, lock: int) -> None:
    """Wait until nobody is alone with ``lock``, and let nobody be until the end of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(lock)))


def is_alone(connection: Connection, lock: int) -> bool:
    """Say whether no other transaction does what ``lock`` stands for, and let none begin; wait for nobody."""
    if connection.dialect.name != "postgresql":
        return True
    return connection.execute(select(func.pg_try_advisory_xact_lock(lock))).scalar_one()


def _parse(url: str) -> URL:
    fix = "Give sqlite:///<path> or postgresql://<user>@<host>/<database>."
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a wrong port is a ValueError
        # The original error may quote the part with the password, so it is not chained.
        raise SettingsError("CUBIC_DATABASE_URL", "It is no database URL.", fix) from None
    if "@" in (parsed.host or ""):  # the rest of a password, which an error would show as part of the host
        raise SettingsError("CUBIC_DATABASE_URL", "The password has an '@'.", "Percent-encode it: '%40'.")
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise SettingsError("CUBIC_DATABASE_URL", f"There is no support for {parsed.drivername!r}.", fix)
    return parsed


def _refuse_unknown(url: URL, options: Collection[str]) -> None:
    if unknown := sorted(set(url.query) - set(options)):
        problem = f"It has an option that the database does not know: {visible(repr(unknown[0]))}."
        raise SettingsError("CUBIC_DATABASE_URL", problem, "Correct the option's name, or remove it.")


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver's own guess
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that turns from reading to writing half-way fails at once if another wrote in between;
    # one that says at the start that it will write waits for its turn.
    is_reading = connection.get_execution_options().get("cubic_is_reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def _end_sqlite(connection: sqlite3.Connection | None, _record: object) -> None:
    """Roll back what is open when a connection is given back: SQLAlchemy does not after an ORM's commit that failed."""
    if connection is not None and connection.in_transaction:
        connection.rollback()


@contextmanager
def translating(engine: Engine) -> Generator[None]:
    """Turn the vendors' errors that may pass, and those for which a person has to act, into the platform's.

    Raises:
        DatabaseUnavailableError: The database refused or dropped the request.
        SettingsError: The file is not an SQLite database, or is damaged.
    """
    try:
        yield
    except PoolTimeoutError as error:
        reason = "no connection became free in time"
        raise DatabaseUnavailableError(reason) from error
    except DBAPIError as error:
        reason = _first_line(error.orig)
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is not None and code & _PRIMARY_CODE in _UNUSABLE_FILE:
            problem = f"'{engine.url.database}' cannot be used ({reason})."
            fix = "Name another file, or restore this one from a backup (docs/deploy.md)."
            raise SettingsError("CUBIC_DATABASE_URL", problem, fix) from error
        if not _may_pass(error):
            raise
        if code is not None:
            reason = f"{reason}: '{engine.url.database}'{_why_not(engine)}"
        raise DatabaseUnavailableError(reason) from error


def _why_not(engine: Engine) -> str:
    """Say what is wrong with the folder of an SQLite file, as far as that can be seen; SQLite does not."""
    folder = Path(engine.url.database or "").absolute().parent
    if not folder.is_dir():
        return f"; there is no folder '{folder}'"
    may_write = os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
    return "" if may_write else f"; this user may not write to the folder '{folder}'"


def _may_pass(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    # SQLite reports a missing table or column, which does not pass, as an operational error too.
    code: Any = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and code != sqlite3.SQLITE_ERROR


def _first_line(error: BaseException | None) -> str:
    """Return the driver's own words; SQLAlchemy's would quote the statement and its values."""
    return next(iter(str(error).splitlines()), type(error).__name__)
