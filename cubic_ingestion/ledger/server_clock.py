"""The clock of the PostgreSQL server: the one that all processes share, however wrong the clocks of their machines."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic

from sqlalchemy import Connection, Engine, func, select
from typing_extensions import override

from cubic_ingestion.errors import DatabaseUnavailableError
from cubic_ingestion.ledger.engine import reading
from cubic_ingestion.ledger.transactions import RETRY_SECONDS, Transactions
from cubic_ingestion.ports import Clock

REFRESH_SECONDS = 60.0
"""How long this machine's monotonic clock carries on from one answer of the server."""


def shared_clock(engine: Engine, machine_clock: Clock, *, retry_seconds: float = RETRY_SECONDS) -> Clock:
    """Return the clock that all who use a database share: its server's, or where it is a file, the machine's."""
    return ServerClock(engine, retry_seconds=retry_seconds) if engine.dialect.name == "postgresql" else machine_clock


class ServerClock(Clock):
    """Tells the server's time. It asks once a minute, and adds what has passed since on the monotonic clock.

    Args:
        engine: From ``make_engine``, for PostgreSQL.
        retry_seconds: How long the first question may try before it fails.
        elapsed: Seconds on a clock that never jumps.
    """

    def __init__(
        self, engine: Engine, *, retry_seconds: float = RETRY_SECONDS, elapsed: Callable[[], float] = monotonic
    ) -> None:
        self._engine = engine
        self._database = Transactions(engine, retry_seconds)
        self._elapsed = elapsed
        self._one_at_a_time = Lock()
        self._answer: tuple[datetime, float] | None = None
        self._asked_at = 0.0

    @override
    def now(self) -> datetime:
        """Return the present moment by the server's clock.

        Raises:
            DatabaseUnavailableError: The server has never answered yet, and does not now. Once it has answered, an
                absence of the server is bridged by the monotonic clock.
        """
        with self._one_at_a_time:
            if self._answer is None:
                self._answer = self._database.read(self._ask)
            elif self._elapsed() - self._asked_at >= REFRESH_SECONDS:
                self._asked_at = self._elapsed()
                with suppress(DatabaseUnavailableError), reading(self._engine) as connection:
                    self._answer = self._ask(connection)
            moment, answered_at = self._answer
            return moment + timedelta(seconds=self._elapsed() - answered_at)

    def _ask(self, connection: Connection) -> tuple[datetime, float]:
        """Ask once; the answer is taken to be from the middle of the time that the question took."""
        self._asked_at = self._elapsed()
        moment = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC), (self._asked_at + self._elapsed()) / 2
