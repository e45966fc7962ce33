"""Partitions: daily for DMAP, one dynamic definition a table for ODS (snapshots) and Kafka (batches)."""

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.streams.dmap import FIRST_DAY

DMAP_DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)
"""Shared by all DMAP tables; today is one of them."""


def partitions_of(table: Table) -> dg.PartitionsDefinition[str]:
    """Return the partitions definition of a table."""
    if table.stream is StreamName.DMAP:
        return DMAP_DAYS
    return dg.DynamicPartitionsDefinition(name=table.name)


def add_partitions(instance: dg.DagsterInstance, table: Table, partition_keys: Sequence[str]) -> None:
    """Make sure that a table's dynamic partitions exist, oldest first, since ranges follow insertion order."""
    if table.stream is StreamName.DMAP or not partition_keys:
        return
    instance.add_dynamic_partitions(table.name, sorted(partition_keys))


def remove_partitions(instance: dg.DagsterInstance, table: Table, partition_keys: Collection[str]) -> set[str]:
    """Remove partitions that no load belongs to any more; returns those that cannot be removed, since they are days."""
    if table.stream is StreamName.DMAP:
        return set(partition_keys)
    for key in partition_keys:
        instance.delete_dynamic_partition(table.name, key)
    return set()


def existing_partitions(instance: dg.DagsterInstance, table: Table, partition_keys: Collection[str]) -> set[str]:
    """Return those of some partitions that a table has in the instance."""
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        return set(partitions_of(table).filter_valid_partition_keys(set(partition_keys)))


def partition_pages(instance: dg.DagsterInstance, table: Table, n_keys: int) -> Iterator[Sequence[str]]:
    """Yield all partitions that a table has in the instance, page by page."""
    cursor: str | None = None
    while True:
        with dg.partition_loading_context(dynamic_partitions_store=instance) as context:
            page = partitions_of(table).get_paginated_partition_keys(context, n_keys, ascending=True, cursor=cursor)
        yield page.results
        if not page.has_more:
            return
        cursor = page.cursor
