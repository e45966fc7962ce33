"""Faults at the ledger's connections: a call is a transaction, and goes wrong where it is committed.

Whoever began it, and by which class, does not matter. An error at the commit leaves nothing of the transaction, as one
at any of its statements does; a lost answer or a kill after it leaves all of it.
"""

import re
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion_tests.faults.faulty import FaultPlan

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(cubic_\w+|iceberg_\w+)", re.IGNORECASE)
_PLACEHOLDERS = re.compile(r"\(?\?(?:,\s*\?)*\)?(?:,\s*\([?, ]*\))*")
_NAMED = {status.value for status in LoadStatus} | {consumer.value for consumer in Consumer}


class _Statement(NamedTuple):
    does: str
    """Verb and table."""
    values: str
    """The statuses that it takes loads from, or brings them to, and the consumer whose deliveries it is about."""
    text: str


class _Transactions:
    """Names transactions by what they write, or else read: ``database.update cubic_loads ingesting``.

    The first of each shape (its statements, and the statuses and consumers in them) is a call. Where two shapes have
    one name, the later ones have a number behind it.
    """

    def __init__(self) -> None:
        self._open: dict[int, list[_Statement]] = {}
        self._shapes: dict[str, list[tuple[_Statement, ...]]] = defaultdict(list)

    def begin(self, connection: Connection) -> None:
        """Forget what a transaction that was rolled back had done."""
        self._open[id(connection.connection.dbapi_connection)] = []

    def execute(self, cursor: Any, statement: str, parameters: Any, context: object) -> None:
        """Note a statement."""
        del context
        if found := _TABLE.search(statement):
            values = parameters.values() if isinstance(parameters, dict) else parameters
            named = sorted({value for value in values if isinstance(value, str) and value in _NAMED})
            does = f"{statement.split(maxsplit=1)[0].lower()} {found[1]}"
            noted = _Statement(does, " ".join(named), _PLACEHOLDERS.sub("?", statement))
            self._open.setdefault(id(cursor.connection), []).append(noted)

    def end(self, connection: Any) -> str | None:
        """Return the name of the transaction that is committed; None if it is not the ledger's."""
        statements = self._open.pop(id(connection.dbapi_connection), [])
        if not statements:
            return None
        writing = [statement for statement in statements if not statement.does.startswith("select")]
        shown = [statement for statement in writing if statement.values] or writing or statements
        name = "database." + ", ".join(sorted({f"{each.does} {each.values}".strip() for each in shown}))
        shapes, shape = self._shapes[name], tuple(dict.fromkeys(statements))
        if shape not in shapes:
            shapes.append(shape)
        number = shapes.index(shape) + 1
        return name if number == 1 else f"{name} ({number})"


@contextmanager
def faults_at_the_database(plan: FaultPlan) -> Generator[None]:
    """Put a fault plan around the commits of all transactions of this process with the ledger."""
    transactions = _Transactions()
    do_commit = DefaultDialect.do_commit

    def commit(dialect: Any, connection: Any) -> None:
        if call := transactions.end(connection):
            error = dialect.loaded_dbapi.OperationalError("server closed the connection unexpectedly")
            plan.around(call, "", lambda: do_commit(dialect, connection), error)
        else:
            do_commit(dialect, connection)

    listeners = [
        ("begin", transactions.begin),
        ("do_execute", transactions.execute),
        ("do_executemany", transactions.execute),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DefaultDialect, "do_commit", commit)
        for name, listener in listeners:
            event.listen(Engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(Engine, name, listener)
