"""Runs of the definitions under test, in this process, and what they reported."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG, BACKFILL_ID_TAG

from cubic_ingestion.defs.partitions import partitions_of
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion_tests.depot import Depot

QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def sweep(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tables: Iterable[Table]
) -> dg.ExecuteInProcessResult:
    """Run several tables without a partition, as a sensor does."""
    return _run(definitions, instance, tables)


def replay(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    table: Table,
    first: str,
    last: str | None = None,
    *,
    backfill_id: str | None = None,
) -> dg.ExecuteInProcessResult:
    """Run one table for a partition, as a person does, or for a range of them, as a backfill does."""
    if last is None:
        return _run(definitions, instance, [table], partition_key=first)
    tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    tags |= {BACKFILL_ID_TAG: backfill_id} if backfill_id else {}
    return _run(definitions, instance, [table], tags=tags)


def materialized(result: dg.ExecuteInProcessResult, table: Table) -> dict[str | None, Mapping[str, Any]]:
    """Return the metadata that a run reported, by partition of a table."""
    events = result.asset_materializations_for_node(asset_key(table).to_python_identifier())
    return {event.partition: {name: value.value for name, value in event.metadata.items()} for event in events}


def shown(instance: dg.DagsterInstance, table: Table, partitions: Sequence[str]) -> list[str | None]:
    """Return the status that Dagster's pages show of some partitions."""
    found = instance.get_status_by_partition(asset_key(table), partitions, partitions_of(table))
    return [status and status.value for status in (found or {}).values()] or [None] * len(partitions)


def grow_old(depot: Depot, **by: float) -> None:
    """Have all changes of partitions recorded that much earlier."""
    recorded_at = (datetime.now(UTC) - timedelta(**by)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute("UPDATE cubic_changes SET inserted_at = ?", (recorded_at,))


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return what the failed steps of a run said."""
    events = result.filter_events(lambda event: event.is_step_failure)
    return [event.step_failure_data.user_failure_data.description or "" for event in events]  # pyright: ignore[reportOptionalMemberAccess] - asserted by the tests that ask


def _run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tables: Iterable[Table], **how: Any
) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_implicit_global_asset_job_def()
    selection = [asset_key(table) for table in tables]
    return job.execute_in_process(
        run_config=QUIET, instance=instance, asset_selection=selection, raise_on_error=False, **how
    )
