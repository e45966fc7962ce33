"""What connections to PostgreSQL need in production: a bounded pool, timeouts everywhere, no state on the server."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    import psycopg  # SQLite needs none

LOCK_TIMEOUT_SECONDS = 30
"""How long a statement waits for another transaction's lock; ours hold theirs for milliseconds."""

IDLE_TIMEOUT_SECONDS = 60
"""How long a transaction may do nothing before the server ends it: that of a process that hangs must free its rows."""

_LOCK_REFUSED = ("55P03", "40P01")
"""The states ``lock_not_available`` and ``deadlock_detected``."""

_CONNECTION_DEFAULTS: Mapping[str, Any] = {
    "application_name": "cubic_ingestion",
    "connect_timeout": 10,
    # A server that vanished without a word is noticed after a minute, whether an answer is awaited or data is sent.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's parameters; what the URL says comes first, so that TLS (``sslmode``, ``sslrootcert``) is set there too."""


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """How much of the server one process takes."""

    pool_size: int
    """Connections that a process has at most."""
    statement_timeout_seconds: int
    """When the server ends a statement."""


def make_postgres_engine(url: URL, limits: PostgresLimits) -> Engine:
    """Prepare connections; none is opened yet.

    Nothing is left on a connection between two transactions: no prepared statement, no session's setting. So a pooler
    in transaction mode may stand in between.
    """
    defaults = {name: value for name, value in _CONNECTION_DEFAULTS.items() if name not in url.query}
    engine = create_engine(
        url,
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_use_lifo=True,
        connect_args={**defaults, "prepare_threshold": None},
        hide_parameters=True,
        use_native_hstore=False,
    )
    settings = _settings(limits.statement_timeout_seconds, LOCK_TIMEOUT_SECONDS, IDLE_TIMEOUT_SECONDS)

    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        mode = " READ ONLY" if options.get("cubic_is_reading") else ""
        connection.exec_driver_sql(f"BEGIN{mode}; {options.get('cubic_settings', settings)}")

    event.listen(engine, "connect", _leave_beginning_to_us)
    event.listen(engine, "begin", begin)
    return engine


def libpq_options() -> Collection[str]:
    """Return the names of the options that a PostgreSQL URL may have."""
    from psycopg.pq import Conninfo  # noqa: PLC0415 - SQLite needs none

    return {option.keyword.decode() for option in Conninfo.get_defaults()}


def upgrade_options(lock_timeout_seconds: float) -> Mapping[str, str]:
    """Return the execution options of a transaction that changes the schema.

    Its statements may take long, but never wait long for a lock: whoever comes after one that waits for a table waits
    too, and the platform with them.
    """
    return {"cubic_settings": _settings(0, lock_timeout_seconds, 0)}


def is_lock_refused(error: Exception) -> bool:
    """Say whether an error is that another transaction kept its lock too long, or waited for ours as we for its."""
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) in _LOCK_REFUSED


def _settings(statement_seconds: float, lock_seconds: float, idle_seconds: float) -> str:
    """Set timeouts for one transaction, in the same message that begins it."""
    values = {
        "statement_timeout": statement_seconds,
        "lock_timeout": lock_seconds,
        "idle_in_transaction_session_timeout": idle_seconds,
    }
    return "; ".join(f"SET LOCAL {name} = {round(seconds * 1000)}" for name, seconds in values.items())


def _leave_beginning_to_us(connection: "psycopg.Connection", _record: object) -> None:
    connection.autocommit = True  # psycopg would send a BEGIN of its own, and wait for the answer, before ours
