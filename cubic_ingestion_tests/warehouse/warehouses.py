"""Tables of the warehouse for tests: how they are filled and read."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.catalog.glue_errors import translated
from cubic_ingestion.ports import Warehouse, WarehouseFile, WarehouseTable
from cubic_ingestion.warehouse import open_in_glue
from cubic_ingestion_tests.s3 import client_of, new_store

Opening = Callable[[], Warehouse]
SCHEMA = pa.schema([("sample_id", pa.int64()), ("sample_name", pa.string())])


def in_glue(glue: Any, database: str) -> Opening:
    """Return what opens a warehouse in a bucket and a database of its own."""
    bucket = new_store(client_of(glue.meta.endpoint_url))
    return partial(open_in_glue, bucket, database, partial(translated, database))


def numbered(*ids: int, schema: pa.Schema = SCHEMA) -> pa.Table:
    """Return rows with these ids and the same name."""
    return pa.table({"sample_id": list(ids), "sample_name": ["x"] * len(ids)}, schema=schema)


def a_file(table: WarehouseTable, rows: pa.Table, partition: Sequence[object] = (), **columns: Any) -> WarehouseFile:
    """Write rows to a file that no commit has added yet."""
    with table.writer(**columns) as writer:
        writer.write(rows)
        return writer.close(partition)


def filled(table: WarehouseTable, rows: pa.Table) -> WarehouseTable:
    """Add rows in a commit."""
    return table.commit(add=[a_file(table, rows)], remove=[], properties={})


def rows_of(warehouse: Warehouse, table: WarehouseTable, snapshot_id: int | None = None) -> list[dict[str, Any]]:
    """Read the files of a snapshot, one by one and by nothing of Iceberg."""
    rows: list[dict[str, Any]] = []
    for file in table.files(snapshot_id):
        with warehouse.bucket.open(file.key) as opened:
            rows += pq.read_table(opened).to_pylist()
    return rows


def ids_of(warehouse: Warehouse, table: WarehouseTable, snapshot_id: int | None = None) -> list[int]:
    """Return the ids of a snapshot's rows, in order."""
    return sorted(row["sample_id"] for row in rows_of(warehouse, table, snapshot_id))


def reopened(warehouse: Warehouse, name: str = "sample") -> WarehouseTable:
    """Open a table that is there."""
    table = warehouse.open(name)
    assert table is not None
    return table


def in_duckdb(warehouse: Warehouse, table: WarehouseTable, sql: str) -> list[tuple[Any, ...]]:
    """Query a table in a local folder as ``t``: a view over the exact list of its files."""
    paths = [warehouse.bucket.uri(file.key).removeprefix("file://").replace("%20", " ") for file in table.files()]
    with duckdb.connect() as connection:
        connection.execute(f"create view t as select * from read_parquet({paths!r}, union_by_name = true)")
        return connection.execute(sql).fetchall()
