"""IO managers: write Springboard Parquet, and read partitions back by type annotation."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from cubic_ingestion.defs.resources import PlatformResource
from cubic_ingestion.defs.translator import TABLE_METADATA_KEY, column_schema
from cubic_ingestion.domain.layout import PART_NAME
from cubic_ingestion.domain.load import Load
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.write import Written, write
from cubic_ingestion.ports import Platform

_HIVE = pa.schema([("snapshot", pa.string()), ("identifier", pa.string())])
"""Folders of the layout that become columns, where they occur."""


class SpringboardIOManager(dg.ConfigurableIOManager):
    """Reads and writes Springboard.

    A Cubic table's asset hands over its loads one by one (``write_load``); any other asset may return a
    ``pa.Table``, ``pa.RecordBatchReader`` or ``pd.DataFrame``. Both end in the same writer. An input is annotated
    with the form it wants: ``pyarrow.dataset.Dataset``, ``pa.Table``, ``pa.RecordBatchReader`` or ``pd.DataFrame``.
    """

    platform: dg.ResourceDependency[PlatformResource]

    def write_load(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write one load's rows under its key; None if the claim was lost meanwhile."""
        springboard = self._platform().stores.springboard
        return write(springboard, key, schema, batches, load_id=load.id, may_publish=lambda: claim.holds(load))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write what an asset returned, as one file a partition."""
        reader = _reader(obj)
        key = _output_key(context.asset_key, context.asset_partition_keys if context.has_asset_partitions else ())
        springboard = self._platform().stores.springboard
        written = write(springboard, key, reader.schema, iter(reader))
        if written:
            context.add_output_metadata(
                {
                    "dagster/row_count": written.n_rows,
                    "size_bytes": written.n_bytes,
                    "dagster/uri": dg.MetadataValue.url(springboard.uri(key)),
                    "dagster/column_schema": column_schema(reader.schema),
                }
            )

    def load_input(self, context: dg.InputContext) -> object:
        """Read the partitions an input asks for, in the form its annotation names."""
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
        dataset = self._dataset(self._locations(context, keys), context.asset_key, keys)
        wanted = context.dagster_type.typing_type
        if wanted is ds.Dataset:
            return dataset
        if wanted is pa.RecordBatchReader:
            return dataset.scanner().to_reader()
        table = dataset.to_table()
        return table.to_pandas() if wanted is pd.DataFrame else table

    def _locations(self, context: dg.InputContext, partition_keys: Sequence[str]) -> Sequence[str]:
        upstream = context.upstream_output
        name = (upstream.definition_metadata or {}).get(TABLE_METADATA_KEY) if upstream else None
        if name is None:
            return [_output_key(context.asset_key, partition_keys)]
        return self._platform().repository.locations(str(name), partition_keys)

    def _dataset(self, keys: Sequence[str], asset_key: dg.AssetKey, partition_keys: Sequence[str]) -> ds.Dataset:
        springboard = self._platform().stores.springboard
        if not keys:
            raise dg.DagsterInvariantViolationError(
                f"'{asset_key.to_user_string()}' has no rows in Springboard for {', '.join(partition_keys) or 'any'}. "
                "Materialise those partitions first."
            )
        filesystem, root = fs.FileSystem.from_uri(springboard.uri(""))
        paths = [fs.FileSystem.from_uri(springboard.uri(key))[1] for key in keys]
        hive = pa.schema([field for field in _HIVE if all(f"/{field.name}=" in key for key in keys)])
        schemas = [ds.dataset(path, filesystem=filesystem, format="parquet").schema for path in paths]
        return ds.dataset(
            paths,
            _with_hive(common_schema(schemas), hive),
            format="parquet",
            filesystem=filesystem,
            # A name is kept as it is: S3 keys and folders are not encoded.
            partitioning=ds.HivePartitioning(hive, segment_encoding="none"),
            partition_base_dir=root,
        )

    def _platform(self) -> Platform:
        return self.platform.platform()


def _with_hive(schema: pa.Schema, hive: pa.Schema) -> pa.Schema:
    """Add the columns that stand in the path; they win over columns of the file with the same name, as in DuckDB."""
    return pa.schema([*(field for field in schema if field.name not in hive.names), *hive])


def _output_key(asset_key: dg.AssetKey, partition_keys: Sequence[str]) -> str:
    ends = [partition_keys[0], partition_keys[-1]] if len(partition_keys) > 1 else partition_keys
    partition = "..".join(ends)
    return f"{'/'.join(asset_key.path)}/identifier={partition or 'all'}/{PART_NAME}"


def _reader(obj: object) -> pa.RecordBatchReader:
    if isinstance(obj, pd.DataFrame):
        obj = pa.Table.from_pandas(obj, preserve_index=False)
    if isinstance(obj, pa.Table):
        return obj.to_reader()
    if isinstance(obj, pa.RecordBatchReader):
        return obj
    raise dg.DagsterInvariantViolationError(
        f"Springboard takes a pa.Table, pa.RecordBatchReader or pd.DataFrame, not a {type(obj).__name__}."
    )
