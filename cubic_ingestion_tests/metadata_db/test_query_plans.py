"""Claiming and planning stay cheap however much is archived: SQLite is asked how it would run their queries."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from cubic_ingestion.domain.status import Work
from cubic_ingestion.metadata_db.sql_load_repository import SqlLoadRepository
from cubic_ingestion.metadata_db.upgrade import upgrade
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.databases import an_engine

CLAIM: dict[str, Any] = {"claimant": "run-1/a", "now": NOON, "expires_at": NOON, "limit": 10}
QUERIES: list[tuple[str, Callable[[SqlLoadRepository], object]]] = [
    *(
        ("ix_cubic_loads_work", lambda repository, work=work: repository.claim(["t"], work, **CLAIM))
        for work in (Work.INGEST, Work.ARCHIVE, Work.ERROR)
    ),
    ("ix_cubic_loads_replay_due", lambda repository: repository.claim(["t"], Work.REPLAY, **CLAIM)),
    ("ix_cubic_loads_work", lambda repository: repository.claim(["t"], Work.REPLAY, **CLAIM, partition_keys=["d"])),
    ("ix_cubic_loads_work", lambda repository: repository.claimable(["t", "u"], Work.INGEST, NOON)),
    ("ix_cubic_loads_work", lambda repository: repository.unplanned(["t", "u"], NOON, 10)),
    ("ix_cubic_loads_work", lambda repository: repository.partition_totals("t", ["d"])),
    ("ix_cubic_loads_source_at", lambda repository: list(repository.placed_since(["t"], NOON, None))),
    ("ix_cubic_loads_claimed_by", lambda repository: repository.renew("run-1/a", NOON)),
    ("ix_cubic_loads_claimed_by", lambda repository: repository.release_runs("run-1", retry_at=NOON)),
    ("ix_cubic_loads_location", lambda repository: repository.newest_at(["l"])),
    ("ix_cubic_loads_error_key", lambda repository: repository.taken_keys(["k"])),
    ("uq_cubic_loads_version", lambda repository: repository.versions("k")),
]


@pytest.mark.parametrize(("index", "query"), QUERIES)
def test_a_query_uses_its_index(index: str, query: Callable[[SqlLoadRepository], object]) -> None:
    plans: list[str] = []
    with an_engine("sqlite://") as engine:
        upgrade(engine)

        @event.listens_for(engine, "before_cursor_execute")
        def explain(  # pyright: ignore[reportUnusedFunction] - SQLAlchemy calls it
            _connection: object, cursor: Any, statement: str, parameters: Any, _context: object, _many: object
        ) -> None:
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("\n".join(row[3] for row in plan))

        query(SqlLoadRepository(engine))
    assert any(index in plan for plan in plans)
    assert not [plan for plan in plans if "SCAN cubic_loads" in plan]
