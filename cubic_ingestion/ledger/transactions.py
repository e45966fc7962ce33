"""Whole transactions, run again if what ended them will pass: a restart of the server, a failover, a deadlock.

A public method of a ``Part`` is its statement: ``reads``, ``writes`` and ``records`` run it as one transaction, and
hand it the connection.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import stamina
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from cubic_ingestion.errors import DatabaseUnavailableError
from cubic_ingestion.ledger.engine import reading, writing

P = ParamSpec("P")
Outcome = TypeVar("Outcome")

RETRY_SECONDS = 60.0
"""How long a PostgreSQL server may be away before a call fails: as long as a restart takes, and most failovers."""

_LONGEST_PAUSE_SECONDS = 5.0
_QUERY_CANCELED = "57014"

_log = logging.getLogger(__name__)


class Transactions:
    """Runs functions of a connection, each as one transaction.

    A transaction that was lost has changed nothing and is run again, the same function with the same arguments. Only if
    the connection broke during the commit it may have been carried out, and is carried out twice; that must be as if it
    had been once.

    Args:
        engine: Where.
        retry_seconds: How long PostgreSQL may be away before anybody is told; SQLite does its own waiting. With 0
            nothing is run again.
    """

    def __init__(self, engine: Engine, retry_seconds: float) -> None:
        self._engine = engine
        self._retry_seconds = retry_seconds if engine.dialect.name == "postgresql" else 0

    def read(
        self, work: Callable[Concatenate[Connection, P], Outcome], *arguments: P.args, **named: P.kwargs
    ) -> Outcome:
        """Run what only reads.

        Raises:
            DatabaseUnavailableError: The database refused or dropped the request, for longer than was waited.
        """
        return self._run(reading, lambda connection: work(connection, *arguments, **named))

    def write(
        self, work: Callable[Concatenate[Connection, P], Outcome], *arguments: P.args, **named: P.kwargs
    ) -> Outcome:
        """Run what may write.

        Raises:
            DatabaseUnavailableError: The database refused or dropped the request, for longer than was waited.
        """
        return self._run(writing, lambda connection: work(connection, *arguments, **named))

    def _run(
        self, begin: Callable[[Engine], AbstractContextManager[Connection]], work: Callable[[Connection], Outcome]
    ) -> Outcome:
        if not self._retry_seconds:
            with begin(self._engine) as connection:
                return work(connection)
        outcome: list[Outcome] = []
        for attempt in stamina.retry_context(
            on=_is_worth_another_try,
            attempts=None,
            timeout=self._retry_seconds,
            wait_max=_LONGEST_PAUSE_SECONDS,
        ):
            with attempt, begin(self._engine) as connection:
                outcome = [work(connection)]
        return outcome[0]


class Part:
    """A part of the ledger.

    Args:
        database: Runs its statements.
        now: Tells the time for ``inserted_at`` and ``updated_at``, where a call does not give it.
    """

    def __init__(self, database: Transactions, now: Callable[[], datetime]) -> None:
        self.database = database
        self.now = now


PartT = TypeVar("PartT", bound=Part)


def reads(statement: Callable[Concatenate[PartT, Connection, P], Outcome]) -> Callable[Concatenate[PartT, P], Outcome]:
    """Run a method as a transaction that only reads; it is handed the connection."""

    @wraps(statement)
    def run(part: PartT, /, *arguments: P.args, **named: P.kwargs) -> Outcome:
        return part.database.read(lambda connection: statement(part, connection, *arguments, **named))

    return run


def writes(statement: Callable[Concatenate[PartT, Connection, P], Outcome]) -> Callable[Concatenate[PartT, P], Outcome]:
    """Run a method as a transaction that may write; it is handed the connection."""

    @wraps(statement)
    def run(part: PartT, /, *arguments: P.args, **named: P.kwargs) -> Outcome:
        return part.database.write(lambda connection: statement(part, connection, *arguments, **named))

    return run


def records(
    statement: Callable[Concatenate[PartT, Connection, datetime, P], Outcome],
) -> Callable[Concatenate[PartT, P], Outcome]:
    """Run a method as a transaction that writes when it was; it is handed the connection and the present moment.

    The moment is asked for before the transaction begins: asking may take a connection of its own.
    """

    @wraps(statement)
    def run(part: PartT, /, *arguments: P.args, **named: P.kwargs) -> Outcome:
        now = part.now()
        return part.database.write(lambda connection: statement(part, connection, now, *arguments, **named))

    return run


def _is_worth_another_try(error: Exception) -> bool:
    """Say whether PostgreSQL may soon take what it refused; a statement that takes too long would again."""
    cause = error.__cause__
    if not isinstance(error, DatabaseUnavailableError) or not isinstance(cause, DBAPIError):
        return False
    if getattr(cause.orig, "sqlstate", None) == _QUERY_CANCELED:
        return False
    _log.warning("%s", error)
    return True
