"""Two at once at ``__current``: a lease that was lost, a reader, and ``__changes`` that is merged while it is read."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.ledger.products import Products
from cubic_ingestion.products.update import update_products
from cubic_ingestion.warehouse import LazyWarehouse
from cubic_ingestion.warehouse.iceberg_table import IcebergTable
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import goes_wrong
from cubic_ingestion_tests.products.deliveries import CHANGES, CURRENT, is_complete, open_depot, shown, update
from cubic_ingestion_tests.products.test_current_drift import BASE, put_changes, put_load

CT = f"{BASE}__ct"
COLUMNS = {"ID": "INT4", "NAME": "STRING"}


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with a product to which a change is on its way."""
    depot = open_depot(tmp_path)
    put_load(depot, 1, COLUMNS, "1,a", "2,b")
    put_changes(depot, 1, COLUMNS, "1,U,1,aa")
    update(depot)
    log(depot, 2, "2,U,1,aaa")
    return depot


def log(depot: Depot, minute: int, *rows: str) -> None:
    """Let a change file land, and have ``__changes`` take it."""
    put_changes(depot, minute, COLUMNS, *rows)
    depot.settle()
    assert update_products(depot.platform, [CT], run_id="log").refused == {}


def merge(depot: Depot, run_id: str) -> dict[str, str]:
    return update_products(depot.platform, [BASE], run_id=run_id).refused


def rows(depot: Depot) -> list[tuple[object, ...]]:
    """Update everything later on, and return the rows."""
    depot.clock.advance(hours=2)
    update(depot)
    assert is_complete(depot)
    return shown(depot, CURRENT, "id, name, header__change_seq")


@pytest.mark.parametrize("is_first", [True, False], ids=["before the other", "after the other"])
def test_a_commit_of_a_process_that_lost_its_lease_changes_nothing_in_the_end(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    commit = IcebergTable.commit
    waking: list[Any] = []

    def hang(table: IcebergTable, **what: Any) -> IcebergTable:
        if table.name == CHANGES:
            return commit(table, **what)
        if waking:  # the other commits
            if is_first:
                waking[0]()
            return commit(table, **what)
        waking.append(lambda: commit(table, **what))
        depot.clock.advance(hours=1)
        log(depot, 3, "3,D,2,", "1,I,4,late")
        refused = merge(depot, "other")
        assert (CURRENT in refused) == is_first
        monkeypatch.setattr(IcebergTable, "commit", commit)
        return commit(table, **what)

    monkeypatch.setattr(IcebergTable, "commit", hang)
    assert CURRENT in merge(depot, "hanging")

    assert rows(depot) == [(1, "aaa", "2"), (4, "late", "1")]


def test_a_reader_of_the_view_as_it_was_reads_on(depot: Depot) -> None:
    with duckdb.connect(depot.root / "catalog.duckdb", read_only=True) as connection:
        question = f"select name from {CURRENT} order by id"
        before = connection.sql(question).fetchall()
        update(depot)
        log(depot, 3, "3,D,2,", "1,I,0,late")
        update(depot)

        assert connection.sql(question).fetchall() == before == [("aa",), ("b",)]
    assert rows(depot) == [(0, "late", "1"), (1, "aaa", "2")]


@pytest.mark.parametrize("is_at_files", [True, False], ids=["its files", "its record"])
def test_changes_that_are_merged_while_the_log_is_opened_are_folded_once(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, *, is_at_files: bool
) -> None:
    raced = race(depot, monkeypatch, once=True, is_at_files=is_at_files)

    assert merge(depot, "slow") == {}
    assert raced == [3]
    assert rows(depot) == [(1, "aaa", "2"), (3, "new", "3")]


def test_a_log_that_is_merged_at_every_look_is_read_later(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    raced = race(depot, monkeypatch, once=False, is_at_files=False)

    assert CURRENT in merge(depot, "slow")
    assert len(raced) > 1
    monkeypatch.undo()
    assert rows(depot) == [(1, "aaa", "2"), *((each, "new", str(each)) for each in raced)]


def race(depot: Depot, monkeypatch: pytest.MonkeyPatch, *, once: bool, is_at_files: bool) -> list[int]:
    """Have somebody merge ``__changes`` right after its record is read, or before its files are; returns the keys."""
    held: Any = Products.held
    opened = LazyWarehouse.open
    raced: list[int] = []

    def meanwhile() -> None:
        number = 3 + len(raced)
        raced.append(number)
        with monkeypatch.context() as patch:
            patch.setattr(Products, "held", held)
            patch.setattr(LazyWarehouse, "open", opened)
            log(depot, number, "1,D,2,", f"{number},I,{number},new")

    def read_record(products: Products, table: str, *load_ids: Any) -> Any:
        found = held(products, table, *load_ids)
        if table == CT and not (once and raced):
            meanwhile()
        return found

    def open_files(warehouse: LazyWarehouse, name: str) -> Any:
        if name == CHANGES and not (once and raced):
            meanwhile()
        return opened(warehouse, name)

    if is_at_files:
        monkeypatch.setattr(LazyWarehouse, "open", open_files)
    else:
        monkeypatch.setattr(Products, "held", read_record)
    return raced


def test_a_change_file_that_is_restated_while_its_rows_are_folded_counts_as_it_is_then(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: Any = Products.held

    def restate(products: Products, table: str, *load_ids: Any) -> Any:
        found = held(products, table, *load_ids)
        if table == CT:
            monkeypatch.setattr(Products, "held", held)
            put_changes(depot, 2, COLUMNS, "2,I,5,restated")
            depot.settle()
        return found

    monkeypatch.setattr(Products, "held", restate)
    assert merge(depot, "slow") == {}

    assert rows(depot) == [(1, "aa", "1"), (2, "b", None), (5, "restated", "2")]


def test_what_a_person_chooses_after_a_merge_was_killed_is_shown(depot: Depot) -> None:
    put_load(depot, 1, COLUMNS, "7,new", started_at="2022-03-04T10:02:30.000")
    log(depot, 3, "7,U,7,newer")
    killed = FaultPlan("database.update iceberg_tables", Fault.KILLED_AFTER)
    goes_wrong(depot, killed, lambda struck: update_products(struck.platform, [BASE], run_id="killed"))
    products, old = depot.platform.ledger.products, "20220301T000000Z"
    assert products.switch(BASE, old, "20220304T100230Z")
    depot.platform.ledger.deliveries[Consumer.PRODUCTS].refresh([BASE])

    assert rows(depot) == [(1, "aaa", "2"), (2, "b", None)]
    assert [state.generation for state in products.states([BASE])] == [old]
