"""Derive: write what a person's own asset returns, one file per partition, and make it queryable by name."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.domain.derived_table import PARTITION_COLUMN, DerivedTable
from cubic_ingestion.domain.layout import PART_NAME
from cubic_ingestion.errors import CubicIngestionError, DerivedTableError
from cubic_ingestion.parsing.common_schema import common_schema, have_conflict
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.write import Written, write
from cubic_ingestion.ports import CatalogEntry, CatalogPart, CatalogPartition


def derive(
    platform: Platform, table: DerivedTable, frames: Mapping[str | None, pa.RecordBatchReader]
) -> dict[str | None, Written]:
    """Write the rows of some partitions; each replaces its partition's file atomically.

    Args:
        platform: The platform.
        table: Where the rows go.
        frames: The rows by partition key; None is the key of a table without partitions.

    Returns:
        What was written, by partition key.

    Raises:
        DerivedTableError: The table, or one of its columns, has a name that would hide rows or values. Nothing was
            written.
    """
    _check_table(platform, table)
    for frame in frames.values():
        _check_columns(table, frame.schema.names)
    springboard = platform.stores.springboard
    written = {key: write(springboard, table.key(key), frame.schema, iter(frame)) for key, frame in frames.items()}
    return {key: each for key, each in written.items() if each is not None}


def catalog_derived(platform: Platform, table: DerivedTable, keys: Iterable[str | None]) -> CubicIngestionError | None:
    """Make a derived table queryable by name; reads the footers of all its files.

    Args:
        platform: The platform.
        table: The table.
        keys: The partitions that were written.

    Returns:
        Why the catalog refused it; None if it did not.
    """
    try:
        return platform.catalog.register([_entry(platform, table, keys)]).get(table.name)
    except CubicIngestionError as error:
        return error


def missing_partitions(platform: Platform, table: DerivedTable, keys: Sequence[str | None]) -> list[str | None]:
    """Return the partitions that have no file."""
    return [key for key in keys if platform.stores.springboard.head(table.key(key)) is None]


def _check_table(platform: Platform, table: DerivedTable) -> None:
    if not table.is_in_own_folder:
        raise DerivedTableError(table.name, f"Its key begins with '{table.path[0]}', where Cubic's own tables lie")
    name = table.name.casefold()
    if any(declared.catalog_name.casefold() == name for declared in platform.tables.values()):
        raise DerivedTableError(table.name, "A Cubic table has the same name in the catalog")


def _check_columns(table: DerivedTable, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if table.is_partitioned and name.casefold() == PARTITION_COLUMN:
            raise DerivedTableError(table.name, f"Column '{name}' has the name of the folders of its partitions")
        if name.casefold() in seen:
            raise DerivedTableError(table.name, f"Two columns are called '{name}' but for upper and lower case")
        seen.add(name.casefold())


def _entry(platform: Platform, table: DerivedTable, keys: Iterable[str | None]) -> CatalogEntry:
    uri = platform.stores.springboard.uri
    schemas = _schemas(platform, table)
    partitions = [
        CatalogPartition((key,), uri(table.folder(key)), schemas[table.key(key)])
        for key in keys
        if key is not None and table.key(key) in schemas
    ]
    return CatalogEntry(
        table,
        uri(table.prefix),
        common_schema(schemas.values()),
        [CatalogPart(schema, [uri(key)]) for key, schema in schemas.items()] if have_conflict(schemas.values()) else (),
        partition_names=table.partition_names,
        partitions=partitions,
    )


def _schemas(platform: Platform, table: DerivedTable) -> dict[str, pa.Schema]:
    """Read the columns of all files of a table, by key."""
    springboard = platform.stores.springboard
    depth = table.prefix.count("/") + len(table.partition_names)
    keys = [
        version.key
        for page in springboard.list(table.prefix)
        for version in page
        if version.key.count("/") == depth and version.key.endswith(f"/{PART_NAME}")
    ]
    schemas: dict[str, pa.Schema] = {}
    for key in keys:
        with springboard.open(key) as file:
            schemas[key] = pq.read_schema(file).remove_metadata()
    return schemas
