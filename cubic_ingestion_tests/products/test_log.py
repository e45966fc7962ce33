"""``__changes`` and ``__events``: all rows of a table in few large files, whatever becomes of its loads."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.products.update import rebuild_product, update_products
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import goes_wrong
from cubic_ingestion_tests.products.deliveries import (
    CHANGES,
    CT,
    EVENTS,
    LOAD,
    is_complete,
    open_depot,
    put_kafka,
    put_ods,
    shown,
    update,
)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with an ODS table and a Kafka table."""
    return open_depot(tmp_path)


def test_rows_of_all_loads_are_in_one_table_with_where_they_came_from(depot: Depot) -> None:
    put_kafka(depot, "b", {"event_id": "3"})
    put_kafka(depot, "a", {"event_id": "1"}, {"event_id": "2"})
    update(depot)

    assert shown(depot, EVENTS, "event_id, identifier, row_number") == [
        ("1", "a.json", 1),
        ("2", "a.json", 2),
        ("3", "b.json", 1),
    ]
    (state,) = depot.platform.ledger.products.states()
    assert (state.name, state.n_loads, state.n_rows, state.n_files) == (EVENTS, 2, 3, 1)
    assert is_complete(depot)


def test_a_load_that_moves_to_another_snapshot_is_exchanged(depot: Depot) -> None:
    put_ods(depot, LOAD, "1,a\n")
    put_ods(depot, CT + "20220304-101500123", "1,early\n")
    put_ods(depot, CT + "20220305-101500123", "1,late\n")
    update(depot)
    assert shown(depot, CHANGES, "snapshot, sample_name") == [
        ("20220301T000000Z", "early"),
        ("20220301T000000Z", "late"),
    ]

    put_ods(depot, LOAD, "1,b\n", started_at="2022-03-04T20:00:00.000")
    update(depot)

    assert shown(depot, CHANGES, "snapshot, sample_name") == [
        ("20220301T000000Z", "early"),
        ("20220304T200000Z", "late"),
    ]
    assert is_complete(depot)


def test_a_restated_file_replaces_its_rows(depot: Depot) -> None:
    put_kafka(depot, "a", {"event_id": "1"}, {"event_id": "2"})
    put_kafka(depot, "b", {"event_id": "3"})
    update(depot)
    put_kafka(depot, "a", {"event_id": "4"})
    update(depot)

    assert shown(depot, EVENTS, "event_id, identifier, row_number") == [("3", "b.json", 1), ("4", "a.json", 1)]
    assert is_complete(depot)


def test_many_small_merges_make_few_files(depot: Depot) -> None:
    for number in range(70):
        put_kafka(depot, f"{number:03}", {"event_id": str(number)})
        update(depot)

    table = depot.platform.warehouse.open(EVENTS)
    assert table is not None
    assert sorted(file.n_rows for file in table.files()) == [1, 1, 1, 1, 1, 1, 64]
    assert len(shown(depot, EVENTS, "event_id")) == 70


def test_a_product_can_be_built_anew(depot: Depot) -> None:
    put_kafka(depot, "a", {"event_id": "1"})
    update(depot)
    put_kafka(depot, "b", {"event_id": "2"})
    update(depot)
    before = shown(depot, EVENTS, "*")
    product = products_of(depot.platform.tables.values())[KAFKA_TABLE.name]

    rebuild_product(depot.platform, product, run_id="test")

    assert shown(depot, EVENTS, "*") == before
    assert depot.platform.ledger.products.states()[0].n_files == 1
    assert is_complete(depot)


def test_a_restored_ledger_is_noticed_and_a_rebuild_that_was_killed_is_made_again(depot: Depot) -> None:
    put_kafka(depot, "a", {"event_id": "1"})
    update(depot)
    copy_database(depot.root / "metadata.sqlite", depot.root / "backup.sqlite")
    put_kafka(depot, "b", {"event_id": "2"})
    update(depot)
    newer = iceberg_tables(depot)
    restore(depot, newer)
    put_kafka(depot, "c", {"event_id": "3"})
    depot.settle()
    assert "'cubic products rebuild" in update_products(depot.platform, run_id="test").refused[EVENTS]

    goes_wrong(depot, FaultPlan("warehouse.commit", Fault.KILLED_BEFORE), rebuild)
    depot.clock.advance(hours=2)
    update(depot)

    assert shown(depot, EVENTS, "event_id") == [("1",), ("3",)]
    assert is_complete(depot)


def rebuild(depot: Depot) -> None:
    rebuild_product(depot.platform, products_of(depot.platform.tables.values())[KAFKA_TABLE.name], run_id="struck")


def iceberg_tables(depot: Depot) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection:
        return connection.execute("SELECT * FROM iceberg_tables").fetchall()


def copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def restore(depot: Depot, tables: list[tuple[object, ...]]) -> None:
    """Bring the ledger back to an earlier moment, and the warehouse's catalog not."""
    copy_database(depot.root / "backup.sqlite", depot.root / "metadata.sqlite")
    marks = ", ".join("?" * len(tables[0]))
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute("DELETE FROM iceberg_tables")
        connection.executemany(f"INSERT INTO iceberg_tables VALUES ({marks})", tables)


def test_a_load_whose_file_is_gone_or_damaged_keeps_no_other_from_its_product(depot: Depot) -> None:
    for name in "abc":
        put_kafka(depot, name, {"event_id": name})
    depot.settle()
    files = {key.split("=")[-1][0]: depot.root / "springboard" / key for key in depot.files("springboard")}
    files["a"].unlink()
    whole = files["b"].read_bytes()
    files["b"].write_bytes(whole[:-8] + b"damaged!")

    refused = update_products(depot.platform, run_id="test").refused

    assert "of load" in refused[EVENTS]
    assert shown(depot, EVENTS, "event_id") == [("c",)]
    assert {each.n_changes for each in depot.platform.ledger.deliveries[Consumer.PRODUCTS].backlog()} == {2}
    files["b"].write_bytes(whole)
    depot.clock.advance(hours=2)
    assert EVENTS in update_products(depot.platform, run_id="test").refused
    assert shown(depot, EVENTS, "event_id") == [("b",), ("c",)]
