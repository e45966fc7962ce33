"""How the database runs a statement: the indexes it uses, and the tables that it reads as a whole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

from benchmarks.ledger_queries import Query, ledger_on

_EXPLAINABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_Cursor = Any
"""A cursor of psycopg or of sqlite3, whichever it is."""
_Parameters = Any
"""As each of the two takes them."""


@dataclass
class Plan:
    """How the database ran a query's statements."""

    indexes: set[str] = field(default_factory=set[str])
    scans: set[str] = field(default_factory=set[str])
    """Tables that it read as a whole."""
    n_blocks: int = 0
    """Blocks of 8 kB that it looked at (PostgreSQL)."""


def plan_of(engine: Engine, query: Query) -> Plan:
    """Ask once, and have the database tell how it runs each statement; nothing stays."""
    plan = Plan()
    with _explaining(engine, plan), rolled_back(engine) as connection:
        query.ask(ledger_on(connection))
    return plan


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that leaves nothing."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@contextmanager
def _explaining(engine: Engine, plan: Plan) -> Iterator[None]:
    explain = {"postgresql": _explain_postgresql, "sqlite": _explain_sqlite}[engine.dialect.name]

    def before(
        _connection: object, cursor: _Cursor, statement: str, parameters: _Parameters, _context: object, _many: object
    ) -> None:
        if statement.lstrip().upper().startswith(_EXPLAINABLE):
            explain(cursor, statement, parameters[0] if isinstance(parameters, list) else parameters, plan)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)


def _explain_postgresql(cursor: _Cursor, statement: str, parameters: _Parameters, plan: Plan) -> None:
    with cursor.connection.cursor() as other:
        other.execute("SAVEPOINT explained")
        other.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
        answer = other.fetchone()[0]
        other.execute("ROLLBACK TO SAVEPOINT explained")
    top = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    plan.n_blocks += top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0)
    for node in _nodes(top):
        if "Index Name" in node:
            plan.indexes.add(node["Index Name"])
        if node["Node Type"] == "Seq Scan":
            plan.scans.add(node["Relation Name"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _explain_sqlite(cursor: _Cursor, statement: str, parameters: _Parameters, plan: Plan) -> None:
    for *_, detail in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters):
        words = detail.split()
        if "INDEX" in words:
            plan.indexes.add(words[words.index("INDEX") + 1])
        elif "PRIMARY KEY" in detail:
            plan.indexes.add("primary key")
        elif words[0] == "SCAN":
            plan.scans.add(words[1])
