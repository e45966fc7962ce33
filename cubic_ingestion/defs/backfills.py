"""Backfills: Dagster calls a backfill failed if one of its partitions was not materialised, though its runs succeeded.

A day that nothing was delivered for is no failure. The open source edition has no event that says so, so the backfill's
own record is changed: it no longer asks for such partitions.
"""

from collections.abc import Collection

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.storage.tags import BACKFILL_ID_TAG

from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table


def leave_out(context: dg.AssetExecutionContext, table: Table, partition_keys: Collection[str]) -> None:
    """Take partitions out of the backfill that the run belongs to, if it belongs to one.

    The daemon writes the same record twice a minute, for an instant. If it does so in the same instant, the backfill
    ends as failed after all; the run and the partitions show what is true in any case.
    """
    backfill_id = context.run.tags.get(BACKFILL_ID_TAG)
    backfill = context.instance.get_backfill(backfill_id) if backfill_id else None
    if backfill is None or not backfill.is_asset_backfill or not partition_keys:
        return
    graph = context.job_def.asset_layer.asset_graph
    with dg.partition_loading_context(dynamic_partitions_store=context.instance):
        done = {AssetKeyPartitionKey(asset_key(table), key) for key in partition_keys}
        left_out = AssetGraphSubset.from_asset_partition_set(done, graph)
        data = backfill.get_asset_backfill_data(graph)
        data = data._replace(
            target_subset=data.target_subset - left_out, requested_subset=data.requested_subset - left_out
        )
        context.instance.update_backfill(backfill.with_asset_backfill_data(data, context.instance, graph))
