"""What the suite of the catalog runs over: each adapter, how people query it, and how somebody spoils it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.domain.layout import partition_folder, partition_names, springboard_prefix
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ports import CatalogEntry, CatalogPartition, TableCatalog
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests import glue as glue_reader


@dataclass(frozen=True)
class CatalogUnderTest:
    """A catalog and what belongs to it."""

    catalog: TableCatalog
    query: Callable[[str], list[tuple[Any, ...]]]
    """Query it as people do."""
    spoil: Callable[[CatalogEntry], None]
    """Make the catalog refuse a table."""

    def register(self, *entries: CatalogEntry) -> None:
        """Register tables, none of which may be refused."""
        assert self.catalog.register(entries) == {}


def a_duckdb_catalog(folder: Path) -> CatalogUnderTest:
    """Make an empty catalog in a file."""
    path = folder / "home" / "catalog.duckdb"

    def query(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def spoil(entry: CatalogEntry) -> None:
        for partition in entry.partitions:
            for file in Path(partition.location.removeprefix("file://")).glob("*"):
                file.unlink()

    return CatalogUnderTest(DuckDBTableCatalog(path), query, spoil)


def a_glue_catalog(client: Any, database: str) -> CatalogUnderTest:
    """Make an empty catalog in Glue."""

    def spoil(entry: CatalogEntry) -> None:
        client.create_database(DatabaseInput={"Name": database})
        view = {"Name": entry.table.catalog_name, "TableType": "VIRTUAL_VIEW"}
        client.create_table(DatabaseName=database, TableInput=view)

    return CatalogUnderTest(GlueTableCatalog(database), lambda sql: glue_reader.query(client, database, sql), spoil)


class Springboard:
    """A folder with the Parquet of tables."""

    def __init__(self, root: Path) -> None:
        self.store = LocalObjectStore(root)

    def entry(self, table: Table, *values: str, **columns: Any) -> CatalogEntry:
        """Write a load of a table and return what the catalog is told of it."""
        rows = pa.table(columns or {"sample_id": [1], "load_id": [1]})
        values = values or (("20220301T000000Z", "1.csv") if len(partition_names(table)) > 1 else ("1.csv",))
        folder = partition_folder(table, values)
        with self.store.writer(f"{folder}part-0.parquet") as writer:
            pq.write_table(rows, writer.file)
            writer.commit()
        return CatalogEntry(
            table,
            self.store.uri(springboard_prefix(table)),
            rows.schema,
            partition_names=partition_names(table),
            partitions=[CatalogPartition(values, self.store.uri(folder), rows.schema)],
        )
