"""A person opens the warehouse with pyiceberg alone, as the documents say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from sqlalchemy import inspect

from cubic_ingestion.ledger.upgrade import NEWEST, current_revision, require_newest, upgrade
from cubic_ingestion.ports import PartitionField, Warehouse
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.warehouse import open_in_database
from cubic_ingestion_tests.databases import a_database, an_engine
from cubic_ingestion_tests.warehouse.warehouses import SCHEMA, a_file, filled, in_glue, numbered, reopened
from local_servers.environment import clean_environment

TABLES = {"iceberg_tables", "iceberg_namespace_properties"}


def test_the_embedded_catalog_opens_by_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "100 %20 ü"
    home = work / ".cubic"
    home.mkdir(parents=True)
    monkeypatch.chdir(work)
    with a_database("sqlite", home) as url, an_engine(url) as engine:
        warehouse = open_in_database(LocalObjectStore(home / "warehouse"), engine)
        table = filled(warehouse.create("sample", SCHEMA), numbered(1, 2))
        table = table.commit(add=[a_file(table, numbered(3))], remove=table.files(), properties={})
    first, second = table.snapshots()

    catalog = load_catalog("cubic", type="sql", uri="sqlite:///.cubic/metadata.sqlite", warehouse=".cubic/warehouse")
    seen = catalog.load_table("cubic.sample")

    assert catalog.list_tables("cubic") == [("cubic", "sample")]
    assert seen.scan().to_arrow().column("sample_id").to_pylist() == [3]
    assert seen.scan(snapshot_id=first.id).to_arrow().column("sample_id").to_pylist() == [1, 2]
    assert seen.scan(row_filter="sample_id > 3").to_arrow().num_rows == 0
    current = seen.current_snapshot()
    assert current is not None
    assert current.snapshot_id == second.id
    catalog.close()


def test_a_partitioned_table_is_pruned_by_its_partitions_and_bounds(local: Warehouse) -> None:
    schema = pa.schema([("snapshot", pa.string()), ("at", pa.timestamp("us")), ("n", pa.int64())])
    parts = [PartitionField("snapshot", "identity"), PartitionField("at", "month")]
    table = local.create("sample", schema, parts)
    rows = [
        pa.table({"snapshot": [name], "at": pa.array([at], pa.timestamp("us")), "n": [n]}, schema=schema)
        for name, at, n in [("S", 0, 1), ("S", 40 * 86_400 * 10**6, 2), ("T", 0, 3)]
    ]
    files = [a_file(table, each, part) for each, part in zip(rows, [("S", 0), ("S", 1), ("T", 0)], strict=True)]
    table = table.commit(add=files, remove=[], properties={})
    scan: Any = table.iceberg.scan  # pyright: ignore[reportAttributeAccessIssue] - the adapter has it

    assert [task.file.file_path for task in scan("snapshot = 'T'").plan_files()] == [_location(local, files[2].key)]
    assert len([*scan("snapshot = 'S' and at < '1970-01-20T00:00:00'").plan_files()]) == 1
    assert len([*scan("n = 2").plan_files()]) == 1


def _location(warehouse: Warehouse, key: str) -> str:
    return warehouse.bucket.uri(key)


@pytest.mark.slow
def test_glue_lists_the_table_as_athena_needs_it(glue: Any, database: str) -> None:
    warehouse = in_glue(glue, database)()
    filled(warehouse.create("sample", SCHEMA), numbered(1))

    made = glue.get_table(DatabaseName=database, Name="sample")["Table"]
    assert made["Parameters"]["table_type"] == "ICEBERG"
    assert made["Parameters"]["metadata_location"].startswith(f"{warehouse.bucket.uri('cubic/sample/metadata/')}00001-")
    assert [column["Type"] for column in made["StorageDescriptor"]["Columns"]] == ["bigint", "string"]
    seen = load_catalog(
        "glue", type="glue", **{"s3.endpoint": glue.meta.endpoint_url, "s3.region": "us-east-1"}
    ).load_table(f"{database}.sample")
    assert seen.scan().to_arrow().num_rows == 1


def test_the_ledger_upgrades_beside_the_catalogs_tables(tmp_path: Path) -> None:
    """The catalog's tables are no business of the migrations, in either order."""
    with an_engine(f"sqlite:///{tmp_path / 'metadata.sqlite'}") as engine:
        open_in_database(LocalObjectStore(tmp_path / "warehouse"), engine).create("sample", SCHEMA)
        upgrade(engine)
        require_newest(engine)

        warehouse = open_in_database(LocalObjectStore(tmp_path / "warehouse"), engine)

        assert current_revision(engine) == NEWEST
        assert set(inspect(engine).get_table_names()) >= TABLES
        assert reopened(warehouse).files() == []


def test_a_platform_has_its_warehouse_and_imports_pyiceberg_when_it_is_used(tmp_path: Path) -> None:
    code = (
        "import sys; from cubic_ingestion.bootstrap import build; from cubic_ingestion.settings import read_settings\n"
        "with build(read_settings()) as platform:\n"
        "    before = 'pyiceberg' in sys.modules\n"
        "    print(before, platform.warehouse.tables(), platform.warehouse.bucket.uri(''), 'pyiceberg' in sys.modules)"
    )
    environment = clean_environment() | {"CUBIC_HOME": str(tmp_path / "home")}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )

    assert done.stdout == f"False [] file://{tmp_path / 'home' / 'warehouse'}/ True\n"
