"""Files that land in a depot with an ODS table and a Kafka table, and what its products hold then."""

import json
from collections.abc import Mapping
from pathlib import Path

import duckdb

from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.products.checks import completeness
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot

CHANGES = "cubic__ods_qlik__edw_sample__changes"
CURRENT = "cubic__ods_qlik__edw_sample__current"
EVENTS = "cubic__kafka__sample__events"
LOAD = "cubic/ods_qlik/EDW.SAMPLE/LOAD00000001"
CT = "cubic/ods_qlik/EDW.SAMPLE__ct/"


def open_depot(root: Path) -> Depot:
    """Open the depot of a folder, which works on one load at a time, so that calls come in the same order each time."""
    tables = [an_ods_table(), a_change_table(), KAFKA_TABLE]
    return Depot.build(root, tables, limits=builders.limits(parallel_loads=1))


def put_kafka(depot: Depot, name: str, *records: Mapping[str, object]) -> None:
    depot.put(f"cubic/kafka/sample/{name}.json", "".join(f"{json.dumps(each)}\n" for each in records).encode())


def put_ods(depot: Depot, stem: str, rows: str, started_at: str = "2022-03-01T00:00:00.000") -> None:
    n_rows = rows.count("\n")
    depot.put(f"{stem}.dfm", a_dfm(record_count=n_rows, started_at=started_at))
    depot.put(f"{stem}.csv.gz", csv_gz(f"SAMPLE_ID,SAMPLE_NAME\n{rows}"))


def update(depot: Depot) -> None:
    """Apply what is new, without any product refusing."""
    depot.settle()
    refused = update_products(depot.platform, run_id="test").refused
    assert refused == {}


def shown(depot: Depot, view: str, columns: str) -> list[tuple[object, ...]]:
    """Ask the catalog, as an analyst does."""
    with duckdb.connect(depot.root / "catalog.duckdb", read_only=True) as connection:
        return connection.sql(f"select {columns} from {view} order by all").fetchall()


def is_complete(depot: Depot) -> bool:
    return holds_its_generation(depot) and all(
        completeness(depot.platform, each).is_complete for each in products_of(depot.platform.tables.values()).values()
    )


def holds_its_generation(depot: Depot) -> bool:
    """Say whether ``__current`` has, on record, the LOAD files of its generation and what ``__changes`` has of it."""
    base, changes = an_ods_table().name, a_change_table().name
    products = depot.platform.ledger.products
    generation = next((state.generation for state in products.states([base])), None)
    full_load = [
        load_id
        for load_id, load in products.standing(base, products.standing_ids(base)).items()
        if load.snapshot and snapshot_id(load.snapshot) == generation
    ]
    logged = {load_id: each.etag for load_id, each in products.held(changes).items() if each.place[0] == generation}
    held = products.held(base)
    return set(held) == {*full_load, *logged} and all(held[load_id].etag == etag for load_id, etag in logged.items())
