"""The one place that maps a declared table to everything Dagster shows of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster import MetadataValue

from cubic_ingestion.defs.inert_text import code, inert, listed
from cubic_ingestion.domain.derived_table import DerivedTable
from cubic_ingestion.domain.product import Lane, Product
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.ledger.records import PartitionTotal

TABLE_METADATA_KEY = "cubic/table"
"""Tells the IO manager which declared table an asset is."""

STREAM_TAG = "cubic/stream"
"""Tag of every run that does the platform's work."""

LANE_TAG = "cubic/lane"
"""Tag by which the run queue limits how many runs do one kind of work."""

QUEUE_TAG = "dagster-celery/queue"
"""Tag that says on which of Celery's queues a run goes, where runs are launched by Celery."""

ATTEMPT_TAG = "cubic/attempt"
"""Tag of a run that no process made: it stands for an attempt at partitions whose loads were rejected."""

_CHANGES = 100
_PREVIEW_COLUMNS = 20
_PREVIEW_CHARACTERS = 60
_KINDS = {StreamName.ODS: "qlik", StreamName.DMAP: "csv", StreamName.KAFKA: "json"}


def asset_key(table: Table) -> dg.AssetKey:
    """``springboard/<stream>/<table>``."""
    return dg.AssetKey(["springboard", table.stream.value, table.name])


def feed_key(table: Table) -> dg.AssetKey:
    """``dmap_feed/<type>``, of the feed that fills a table."""
    return dg.AssetKey(["dmap_feed", table.prefix.split("/")[-2]])


def product_key(product: Product) -> dg.AssetKey:
    """``warehouse/<stream>/<product>``."""
    return dg.AssetKey(["warehouse", product.source.stream.value, product.name])


def derived_table(context: dg.InputContext | dg.OutputContext) -> DerivedTable:
    """Return the table that an asset of a person's own is; its files lie below the asset's key."""
    return DerivedTable(tuple(context.asset_key.path), context.has_asset_partitions)


def asset_spec(table: Table, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetSpec:
    """Describe a table's asset as the catalogue page shows it."""
    metadata: dict[str, Any] = {TABLE_METADATA_KEY: table.name, "dagster/table_name": table.catalog_name}
    if table.columns:
        metadata["dagster/column_schema"] = dg.TableSchema(
            [
                dg.TableColumn(column.name, "string" if table.is_raw else column.type, column.description or None)
                for column in table.columns
            ]
        )
    return dg.AssetSpec(
        asset_key(table),
        group_name=table.stream.value,
        description=table.description or f"Cubic files of {code(table.prefix)} as Parquet.",
        tags={"cubic/stream": table.stream.value} | ({"cubic/raw": "true"} if table.is_raw else {}),
        kinds={_KINDS[table.stream], "parquet"},
        metadata=metadata,
        partitions_def=partitions_def,
        freshness_policy=freshness_policy(table),
        deps=[feed_key(table)] if table.feed and table.is_active else [],
    )


def freshness_policy(table: Table) -> dg.FreshnessPolicy | None:
    """Translate what a table's declaration expects."""
    if table.fresh_within_hours is None:
        return None
    warn = table.warn_after_hours
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=table.fresh_within_hours), warn_window=timedelta(hours=warn) if warn else None
    )


def materialization_metadata(
    total: PartitionTotal,
    schema: pa.Schema,
    preview: pa.Table | None,
    *,
    primary_key: Sequence[str],
    n_table_rows: int,
    locations: Sequence[str],
    uri: str,
    changes: Sequence[str] = (),
) -> dict[str, Any]:
    """Describe what one partition holds now.

    Args:
        total: Sums over the partition, earlier runs included.
        schema: Columns of its newest file.
        preview: First rows of that file; None if nobody will look at them.
        primary_key: Names of that file's key columns in key order.
        n_table_rows: Rows of the whole table, all partitions together.
        locations: Keys in Springboard of its newest files.
        uri: Where the table's Parquet files are.
        changes: How the columns of this run's files differ from all before, in words.
    """
    metadata: dict[str, Any] = {
        "dagster/row_count": MetadataValue.int(n_table_rows),
        "dagster/partition_row_count": MetadataValue.int(total.n_rows),
        "dagster/uri": MetadataValue.url(uri),
        "dagster/column_schema": MetadataValue.table_schema(column_schema(schema, primary_key)),
        "size_bytes": MetadataValue.int(total.n_bytes),
        "quarantined": MetadataValue.int(total.n_quarantined),
        "loads": MetadataValue.int(total.n_loads),
        "locations": listed(locations, len(locations)),
        "first_source_at": MetadataValue.timestamp(total.first_source_at),
        "last_source_at": MetadataValue.timestamp(total.last_source_at),
    }
    if changes:
        metadata["schema_changes"] = listed(changes, _CHANGES, command="cubic tables changes")
    if preview is not None:
        metadata["preview"] = _table(preview)
    return metadata


def column_schema(schema: pa.Schema, primary_key: Sequence[str] = ()) -> dg.TableSchema:
    """Translate an Arrow schema; key columns show their position in the key."""
    key = {name: dg.TableColumnConstraints(other=[f"primary key {at}"]) for at, name in enumerate(primary_key, 1)}
    return dg.TableSchema(
        [dg.TableColumn(inert(field.name), str(field.type), constraints=key.get(field.name)) for field in schema]
    )


def _table(preview: pa.Table) -> dg.TableMetadataValue:
    """Show rows as a table; Dagster reads no Markdown in its cells."""
    shown = preview.select(preview.column_names[:_PREVIEW_COLUMNS])
    schema = column_schema(shown.schema)
    columns = [[_cell(value.as_py() if value.is_valid else None) for value in column] for column in shown.columns]
    names = [column.name for column in schema.columns]
    records = [dg.TableRecord(dict(zip(names, cells, strict=True))) for cells in zip(*columns, strict=True)]
    return MetadataValue.table(records, schema)


def _cell(value: object) -> str:
    text = "NULL" if value is None else inert(str(value))
    return text if len(text) <= _PREVIEW_CHARACTERS else text[:_PREVIEW_CHARACTERS] + "…"


def stream_tags(stream: StreamName) -> dict[str, str]:
    """Tags of a run that goes through no queue, and so must not count in a lane if it dies."""
    return {STREAM_TAG: stream.value}


def catalog_tags(*, in_lane: bool) -> dict[str, str]:
    """Tags of a run that brings the catalog up to date, for all streams at once: it is one service.

    Args:
        in_lane: It goes through the queue, which limits by ``cubic/lane``.
    """
    return {STREAM_TAG: "all"} | ({LANE_TAG: "catalog"} if in_lane else {})


def products_tags(lane: Lane | None = None) -> dict[str, str]:
    """Tags of a run that brings products up to date, for all streams at once; workers of its own may take it.

    Args:
        lane: It goes through the queue, which limits by ``cubic/lane``; None if it does not.
    """
    return {STREAM_TAG: "all", QUEUE_TAG: "products"} | ({LANE_TAG: f"products-{lane}"} if lane else {})


def lane_tags(stream: StreamName, work: str) -> dict[str, str]:
    """Tags of a run that does one kind of work for one stream; the run queue limits by ``cubic/lane``.

    The stream's own workers take it, where it has some.
    """
    return stream_tags(stream) | {LANE_TAG: f"{stream.value}-{work}", QUEUE_TAG: stream.value}


def fetch_tags(stream: StreamName) -> dict[str, str]:
    """Tags of a run that fetches for one stream.

    Without the tag of a stream: ``dead_runs`` would end a long one, since it claims no load.
    """
    return {LANE_TAG: f"{stream.value}-fetch", QUEUE_TAG: stream.value}
