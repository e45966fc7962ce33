"""IO managers: write Springboard Parquet, and read partitions back by type annotation."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pyarrow as pa

from cubic_ingestion.defs.frames import PARTITION_EXPR, frames_by_partition
from cubic_ingestion.defs.translator import column_schema, derived_table
from cubic_ingestion.domain.derived_table import DerivedTable
from cubic_ingestion.domain.load import Load
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.derive import catalog_derived, derive
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.write import Written, write_load


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
        platform, table = self.platform, derived_table(context)
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
        from cubic_ingestion.defs.inputs import read_input  # noqa: PLC0415 - pandas, for assets that read Springboard

        return read_input(self.platform, context)


def _row_count_name(keys: Sequence[str]) -> str:
    """Name the count of what a run wrote; the materialisations of all its partitions have the same metadata."""
    if len(keys) > 1:
        return "rows_of_all_partitions"
    return "dagster/partition_row_count" if keys else "dagster/row_count"


def _shown_key(table: DerivedTable, keys: Sequence[str]) -> str:
    return table.prefix if len(keys) > 1 else table.key(keys[0] if keys else None)
