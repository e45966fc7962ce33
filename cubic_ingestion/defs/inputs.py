"""Inputs: partitions of Springboard for an asset that reads them, in the form its annotation names."""

from collections.abc import Sequence

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from cubic_ingestion.catalog.united_rows import reads_as_text, united_rows
from cubic_ingestion.defs.translator import TABLE_METADATA_KEY, derived_table
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.pipeline.derive import missing_partitions
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import ObjectStore

_HIVE = pa.schema([("snapshot", pa.string()), ("identifier", pa.string())])
"""Folders of the layout that become columns, where they occur."""
ALLOW_MISSING = "allow_missing_partitions"
"""Metadata of an input: read the partitions that are there. Dagster's own IO managers use the same name."""
_SHOWN = 3


def read_input(platform: Platform, context: dg.InputContext) -> object:
    """Read the partitions that an input asks for."""
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    locations = _locations(platform, context, keys)
    dataset = _dataset(platform.stores.springboard, locations, context.asset_key, keys, _hive(context))
    wanted = context.dagster_type.typing_type
    if wanted is ds.Dataset:
        return dataset
    if wanted is pa.RecordBatchReader:
        return dataset.scanner().to_reader()
    table = dataset.to_table()
    return table.to_pandas() if wanted is pd.DataFrame else table


def _locations(platform: Platform, context: dg.InputContext, partition_keys: Sequence[str]) -> Sequence[str]:
    """Return the keys of the files to read; of a derived table exactly one for each partition."""
    if name := _cubic_table(context):
        return platform.ledger.partitions.locations(name, partition_keys)
    table = derived_table(context)
    keys = list(partition_keys) or [None]
    missing = missing_partitions(platform, table, keys)
    if missing and not (context.definition_metadata or {}).get(ALLOW_MISSING):
        which = ", ".join(str(key) for key in missing[:_SHOWN] if key) + (", …" if len(missing) > _SHOWN else "")
        raise dg.DagsterInvariantViolationError(
            f"'{context.asset_key.to_user_string()}' has no file in Springboard{which and f' for {which}'}. "
            f'Materialise it first, or read what is there: AssetIn(metadata={{"{ALLOW_MISSING}": True}}).'
        )
    return [table.key(key) for key in keys if key not in missing]


def _dataset(
    springboard: ObjectStore,
    keys: Sequence[str],
    asset_key: dg.AssetKey,
    partition_keys: Sequence[str],
    hive: pa.Schema,
) -> ds.Dataset:
    if not keys:
        raise dg.DagsterInvariantViolationError(
            f"'{asset_key.to_user_string()}' has no rows in Springboard for {', '.join(partition_keys) or 'any'}. "
            "Materialise those partitions first."
        )
    filesystem, root = fs.FileSystem.from_uri(springboard.uri(""))
    paths = [fs.FileSystem.from_uri(springboard.uri(key))[1] for key in keys]
    folders = pa.schema([field for field in hive if all(f"/{field.name}=" in key for key in keys)])
    schemas = [ds.dataset(path, filesystem=filesystem, format="parquet").schema for path in paths]
    united = common_schema(schemas)

    def read(some: list[str], schema: pa.Schema) -> ds.Dataset:
        return ds.dataset(
            some,
            _with_hive(schema, folders),
            format="parquet",
            filesystem=filesystem,
            # A name is kept as it is: S3 keys and folders are not encoded.
            partitioning=ds.HivePartitioning(folders, segment_encoding="none"),
            partition_base_dir=root,
        )

    if not reads_as_text(schemas, united):
        return read(paths, united)
    files = (read([path], schema).to_table() for path, schema in zip(paths, schemas, strict=True))
    return ds.dataset(united_rows(files, _with_hive(united, folders)))


def _with_hive(schema: pa.Schema, hive: pa.Schema) -> pa.Schema:
    """Add the columns that stand in the path; they win over columns of the file with the same name, as in DuckDB."""
    return pa.schema([*(field for field in schema if field.name not in hive.names), *hive])


def _cubic_table(context: dg.InputContext) -> str | None:
    """Name the Cubic table that an input reads; None for what another asset wrote."""
    upstream = context.upstream_output
    name = (upstream.definition_metadata or {}).get(TABLE_METADATA_KEY) if upstream else None
    return None if name is None else str(name)


def _hive(context: dg.InputContext) -> pa.Schema:
    """Return the folders that become columns: those of a Cubic table. An asset's own columns are all that it has."""
    return _HIVE if _cubic_table(context) else pa.schema([])
