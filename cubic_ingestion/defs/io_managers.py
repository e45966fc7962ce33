"""IO managers: write Springboard Parquet, and read partitions back by type annotation."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from cubic_ingestion.catalog.united_rows import reads_as_text, united_rows
from cubic_ingestion.defs.frames import PARTITION_EXPR, frames_by_partition
from cubic_ingestion.defs.translator import TABLE_METADATA_KEY, column_schema
from cubic_ingestion.domain.derived_table import DerivedTable
from cubic_ingestion.domain.load import Load
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.derive import catalog_derived, derive, missing_partitions
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.write import Written, write_load

_HIVE = pa.schema([("snapshot", pa.string()), ("identifier", pa.string())])
"""Folders of the layout that become columns, where they occur."""
ALLOW_MISSING = "allow_missing_partitions"
"""Metadata of an input: read the partitions that are there. Dagster's own IO managers use the same name."""
_SHOWN = 3


class SpringboardIOManager(dg.ConfigurableIOManager):
    """Reads and writes Springboard.

    A Cubic table's asset hands over its loads one by one (``write_load``). Any other asset may return a ``pa.Table``,
    ``pa.RecordBatchReader`` or ``pd.DataFrame``; it becomes one file, or one file per partition (``defs/frames.py``
    says how one run of several partitions returns them). An input is annotated with the form it wants:
    ``pyarrow.dataset.Dataset``, ``pa.Table``, ``pa.RecordBatchReader`` or ``pd.DataFrame``. It has exactly the rows of
    the partitions that the input asks for.
    """

    platform: dg.ResourceDependency[Platform]

    def write_load(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write one load's rows under its key; None if the claim was lost meanwhile."""
        return write_load(self.platform.stores.springboard, claim, load, key, schema, batches)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write what an asset returned, one file per partition, and make it queryable by name."""
        platform, table = self.platform, _derived_table(context)
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
        frames = frames_by_partition(obj, keys, (context.definition_metadata or {}).get(PARTITION_EXPR))
        schema = common_schema(frame.schema for frame in frames.values())
        written = derive(platform, table, frames)
        n_rows = sum(each.n_rows for each in written.values())
        context.add_output_metadata(
            {
                _row_count_name(keys): n_rows,
                "size_bytes": sum(each.n_bytes for each in written.values()),
                "dagster/uri": platform.stores.springboard.uri(_shown_key(table, keys)),
                "dagster/table_name": table.catalog_name,
                "dagster/column_schema": column_schema(schema),
            }
        )
        if refusal := catalog_derived(platform, table, written):
            context.log.warning("Written, but not in the catalog: %s Materialise it again to register it.", refusal)

    def load_input(self, context: dg.InputContext) -> object:
        """Read the partitions an input asks for, in the form its annotation names."""
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
        dataset = self._dataset(self._locations(context, keys), context.asset_key, keys, _hive(context))
        wanted = context.dagster_type.typing_type
        if wanted is ds.Dataset:
            return dataset
        if wanted is pa.RecordBatchReader:
            return dataset.scanner().to_reader()
        table = dataset.to_table()
        return table.to_pandas() if wanted is pd.DataFrame else table

    def _locations(self, context: dg.InputContext, partition_keys: Sequence[str]) -> Sequence[str]:
        """Return the keys of the files to read; of a derived table exactly one for each partition."""
        if name := _cubic_table(context):
            return self.platform.ledger.partitions.locations(name, partition_keys)
        table = _derived_table(context)
        keys = list(partition_keys) or [None]
        missing = missing_partitions(self.platform, table, keys)
        if missing and not (context.definition_metadata or {}).get(ALLOW_MISSING):
            which = ", ".join(str(key) for key in missing[:_SHOWN] if key) + (", …" if len(missing) > _SHOWN else "")
            raise dg.DagsterInvariantViolationError(
                f"'{context.asset_key.to_user_string()}' has no file in Springboard{which and f' for {which}'}. "
                f'Materialise it first, or read what is there: AssetIn(metadata={{"{ALLOW_MISSING}": True}}).'
            )
        return [table.key(key) for key in keys if key not in missing]

    def _dataset(
        self, keys: Sequence[str], asset_key: dg.AssetKey, partition_keys: Sequence[str], hive: pa.Schema
    ) -> ds.Dataset:
        springboard = self.platform.stores.springboard
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


def _derived_table(context: dg.InputContext | dg.OutputContext) -> DerivedTable:
    return DerivedTable(tuple(context.asset_key.path), context.has_asset_partitions)


def _row_count_name(keys: Sequence[str]) -> str:
    """Name the count of what a run wrote; the materialisations of all its partitions have the same metadata."""
    if len(keys) > 1:
        return "rows_of_all_partitions"
    return "dagster/partition_row_count" if keys else "dagster/row_count"


def _shown_key(table: DerivedTable, keys: Sequence[str]) -> str:
    return table.prefix if len(keys) > 1 else table.key(keys[0] if keys else None)
