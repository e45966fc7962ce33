"""Two at once: a process that lost its lease and goes on, and a file that is replaced while its rows are merged."""

from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion.ledger.outcomes import Outcomes
from cubic_ingestion.products.update import update_products
from cubic_ingestion.warehouse.iceberg_table import IcebergTable
from cubic_ingestion_tests.products.deliveries import EVENTS, is_complete, open_depot, put_kafka, shown, update


def test_a_commit_that_comes_after_its_merge_was_forgotten_is_not_taken_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = open_depot(tmp_path)
    put_kafka(depot, "a", {"event_id": "a"})
    depot.settle()
    commit = IcebergTable.commit
    waking: list[Any] = []

    def hang(table: IcebergTable, **what: Any) -> IcebergTable:
        if not waking:  # the first hangs before its commit, for so long that its lease ends
            waking.append(lambda: commit(table, **what))
            depot.clock.advance(hours=1)
            put_kafka(depot, "b", {"event_id": "b"})
            depot.settle()
            update_products(depot.platform, run_id="second")
            monkeypatch.setattr(IcebergTable, "commit", commit)
        else:  # it commits right before the second
            waking[0]()
        return commit(table, **what)

    monkeypatch.setattr(IcebergTable, "commit", hang)
    update_products(depot.platform, run_id="first")
    depot.clock.advance(hours=2)
    update(depot)

    assert shown(depot, EVENTS, "event_id") == [("a",), ("b",)]
    assert [(state.n_loads, state.n_rows) for state in depot.platform.ledger.products.states()] == [(2, 2)]
    assert is_complete(depot)


def test_rows_that_stand_in_place_of_a_loads_and_are_not_on_record_yet_are_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = open_depot(tmp_path)
    put_kafka(depot, "a", {"event_id": "old"})
    put_kafka(depot, "z", {"event_id": "z"})
    depot.settle()
    put_kafka(depot, "a", {"event_id": "new"})
    complete: Any = Outcomes.complete_ingest

    def merge_first(outcomes: Outcomes, *what: Any, **named: Any) -> list[int]:
        monkeypatch.setattr(Outcomes, "complete_ingest", complete)
        assert EVENTS in update_products(depot.platform, run_id="meanwhile").refused
        return complete(outcomes, *what, **named)

    monkeypatch.setattr(Outcomes, "complete_ingest", merge_first)
    depot.settle()
    depot.clock.advance(hours=2)
    update(depot)

    assert shown(depot, EVENTS, "event_id") == [("new",), ("z",)]
    assert is_complete(depot)
