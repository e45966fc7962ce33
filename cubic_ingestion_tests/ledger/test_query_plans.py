"""Queries stay cheap however much is archived: the databases are asked how they would run them."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.snapshot import Snapshot, snapshot_id
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.upgrade import upgrade
from cubic_ingestion_tests.builders import NOON, a_table
from cubic_ingestion_tests.contracts.ledgers import AT_NOON
from cubic_ingestion_tests.databases import an_engine

CLAIM: dict[str, Any] = {"claimant": "run-1/a", "now": NOON, "expires_at": NOON, "limit": 10}
QUERIES: list[tuple[str, Callable[[Ledger], object]]] = [
    *(
        ("ix_cubic_loads_work", lambda ledger, work=work: ledger.claims.take(["t"], work, **CLAIM))
        for work in (Work.INGEST, Work.ARCHIVE, Work.ERROR)
    ),
    ("ix_cubic_loads_replay_due", lambda ledger: ledger.claims.take(["t"], Work.REPLAY, **CLAIM)),
    ("ix_cubic_loads_work", lambda ledger: ledger.claims.take(["t"], Work.REPLAY, **CLAIM, partition_keys=["d"])),
    ("ix_cubic_loads_work", lambda ledger: ledger.claims.claimable(["t", "u"], Work.INGEST, **AT_NOON)),
    ("ix_cubic_loads_work", lambda ledger: ledger.claims.claimable(["t", "u"], Work.INGEST, **AT_NOON, through=7)),
    ("ix_cubic_loads_work", lambda ledger: ledger.plans.unplanned(["t", "u"], NOON, 10)),
    ("ix_cubic_loads_work", lambda ledger: ledger.partitions.totals("t", ["d"])),
    ("ix_cubic_loads_source_at", lambda ledger: list(ledger.plans.placed_since(["t"], NOON, None))),
    ("ix_cubic_loads_claimed_by", lambda ledger: ledger.claims.renew("run-1/a", NOON)),
    ("ix_cubic_loads_claimed_by", lambda ledger: ledger.claims.release_runs("run-1", retry_at=NOON)),
    ("ix_cubic_loads_claimed_by", lambda ledger: ledger.claims.holders()),
    ("ix_cubic_loads_claimed_by", lambda ledger: ledger.claims.holdings()),
    ("ix_cubic_loads_claimed_by", lambda ledger: ledger.claims.release_holder("run-1/a", retry_at=NOON)),
    ("ix_cubic_loads_location", lambda ledger: ledger.queries.newest_at(["l"])),
    ("ix_cubic_loads_location", lambda ledger: ledger.queries.standing_after("l", 10)),
    ("ix_cubic_loads_error_key", lambda ledger: ledger.queries.taken_keys(["k"])),
    ("uq_cubic_loads_version", lambda ledger: ledger.queries.versions("k")),
    ("ix_cubic_loads_explained", lambda ledger: ledger.trouble.open_state("t", NOON, 9)),
    ("ix_cubic_loads_work", lambda ledger: ledger.partitions.newest_files("t", ["d"], 9)),
    ("ix_cubic_loads_work", lambda ledger: ledger.partitions.rejected("t", ["d"])),
    ("ix_cubic_loads_work", lambda ledger: ledger.partitions.with_loads("t", ["d"])),
    ("ix_cubic_loads_work", lambda ledger: ledger.generations.newer("t", "")),
    ("ix_cubic_loads_work", lambda ledger: ledger.generations.named("t", snapshot_id(NOON))),
    ("ix_cubic_loads_source_at", lambda ledger: ledger.generations.newest_without_schema("t", NOON)),
]


OBSERVED: list[tuple[str, Callable[[Ledger], object]]] = [
    ("ix_cubic_loads_work", lambda observer: observer.counts.open_loads(NOON)),
    ("ix_cubic_loads_claimed_by", lambda observer: observer.claims.holdings()),
    ("ix_cubic_loads_work", lambda observer: observer.counts.errored(NOON)),
    ("ix_cubic_loads_work", lambda observer: observer.counts.open_ids(0, 9, 9)),
    ("INTEGER PRIMARY KEY (rowid>?)", lambda observer: observer.counts.totals(7)),
    ("INTEGER PRIMARY KEY (rowid=?)", lambda observer: observer.counts.totals_of([7])),
    ("ix_cubic_loads_source_at", lambda observer: observer.counts.newest()),
    ("INTEGER PRIMARY KEY", lambda observer: observer.counts.passages(10)),
    ("ix_cubic_loads_source_at", lambda observer: observer.counts.source_times(["t"], 10)),
    ("ix_cubic_loads_source_at", lambda observer: observer.counts.n_heard({"t": [(NOON, NOON)]})),
    ("ix_cubic_loads_source_at", lambda observer: observer.counts.days(["t"], NOON)),
    ("ix_cubic_loads_work", lambda observer: observer.counts.full_loads(["t"])),
    ("ix_cubic_product_loads_refused", lambda observer: observer.product_trouble.refused()),
    ("ix_cubic_product_loads_refused", lambda observer: observer.product_trouble.refused_of("t")),
    ("ix_cubic_loads_work", lambda observer: observer.product_trouble.rejected()),
]


@pytest.mark.parametrize(("index", "query"), QUERIES)
def test_a_query_uses_its_index(index: str, query: Callable[[Ledger], object]) -> None:
    plans = plans_of(lambda engine: query(Ledger(engine)))
    assert any(index in plan for plan in plans)
    assert not [plan for plan in plans if "SCAN cubic_loads" in plan]


def test_a_page_of_partitions_with_rows_is_read_from_an_index_in_its_order() -> None:
    plan = "\n".join(plans_of(lambda engine: Ledger(engine).partitions.with_rows("t", "d", 10)))
    assert plan.count("ix_cubic_loads_work (table_id=? AND status=? AND partition_key>?)") == 3
    assert "DISTINCT" not in plan  # it would collect all partitions that follow


@pytest.mark.parametrize(("index", "query"), OBSERVED)
def test_what_watchers_ask_uses_its_index(index: str, query: Callable[[Ledger], object]) -> None:
    plans = plans_of(lambda engine: query(Ledger(engine)))
    assert any(index in plan for plan in plans), plans
    # Its newest rows, or its last one, are at the end of the primary key; no more of it is read.
    scans = [plan for plan in plans if "SCAN cubic_loads" in plan]
    assert len(scans) == ("passages" in str(query.__code__.co_names))


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_looks_at_no_table_s_loads_for_what_is_due_to_a_consumer_of_another(engine: Engine) -> None:
    with explained(engine, "EXPLAIN") as plans:
        Ledger(engine).deliveries[Consumer.CATALOG].due(["t", "u"], **AT_NOON)
    assert "cubic_loads" in plans[-1]
    assert "SubPlan" not in plans[-1]  # it may be made a table in memory, of all loads


def plans_of(ask: Callable[[Engine], object]) -> list[str]:
    """Return how SQLite would run each statement of a question to a ledger with one table."""
    with an_engine("sqlite://") as engine:
        upgrade(engine)
        ledger = Ledger(engine)
        ledger.tables.sync([a_table("t"), a_table("u", prefix="cubic/dmap/u/")])
        ledger.plans.open_snapshot("t", Snapshot(NOON, "k"))
        with explained(engine, "EXPLAIN QUERY PLAN") as plans:
            ask(engine)
    return plans


@contextmanager
def explained(engine: Engine, command: str) -> Generator[list[str]]:
    """Collect the plan of each statement."""
    plans: list[str] = []

    def explain(
        _connection: object, cursor: Any, statement: str, parameters: Any, _context: object, _many: object
    ) -> None:
        if not statement.startswith("BEGIN"):
            plan = cursor.connection.execute(f"{command} {statement}", parameters)
            plans.append("\n".join(row[-1] for row in plan))

    event.listen(engine, "before_cursor_execute", explain)
    yield plans
    event.remove(engine, "before_cursor_execute", explain)
