"""Pruning: Dagster keeps every run for ever, with all its events; a job deletes those that nobody will look for.

So it does with the ledger's history: superseded changes, and the steps of loads.

A run that materialised something is kept, whatever its end: deleting it would delete what the assets' pages show. So is
an attempt that says why a partition has no rows.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import dagster as dg

from cubic_ingestion.defs.cleaning import clean_warehouse
from cubic_ingestion.defs.jobs import move_originals, update_catalog
from cubic_ingestion.defs.kafka import kafka_batch
from cubic_ingestion.defs.translator import ATTEMPT_TAG
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.settings import read_settings

MAX_DELETED = 20_000
"""Of one pass; the rest waits for the next day's."""

_WITHOUT_ASSETS = (move_originals.name, update_catalog.name, clean_warehouse.name, kafka_batch.name, "prune_runs")
_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_ENDED = [*_FAILED, dg.DagsterRunStatus.SUCCESS]


def prune(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete runs that ended before a moment and materialised nothing; returns how many."""
    n_deleted = 0
    for run_id in _dispensable(instance, before):
        instance.delete_run(run_id)
        n_deleted += 1
        if n_deleted == MAX_DELETED:
            break
    return n_deleted


def _dispensable(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    for job in _WITHOUT_ASSETS:
        yield from _runs(instance, dg.RunsFilter(job_name=job, statuses=_ENDED, updated_before=before))
    attempts = set(_runs(instance, dg.RunsFilter(statuses=_FAILED, tags={ATTEMPT_TAG: "true"})))
    for run_id in _runs(instance, dg.RunsFilter(statuses=_FAILED, updated_before=before)):
        if run_id in attempts:
            continue
        if not instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1).records:
            yield run_id


def _runs(instance: dg.DagsterInstance, which: dg.RunsFilter) -> Sequence[str]:
    """Return ids alone: a run comes with everything that is known of it."""
    return instance.get_run_ids(which, limit=MAX_DELETED)


@dg.op(description="Deletes runs older than CUBIC_RUN_RETENTION_DAYS that materialised nothing.")
def prune_old_runs(context: dg.OpExecutionContext) -> None:
    """Keep Dagster's database from growing without end."""
    before = datetime.now(UTC) - timedelta(days=read_settings().run_retention_days)
    n_deleted = prune(context.instance, before)
    context.log.info("%s runs deleted", n_deleted)
    context.add_output_metadata({"deleted": n_deleted})


@dg.op(description="Deletes superseded changes and steps of loads older than CUBIC_HISTORY_RETENTION_DAYS.")
def prune_ledger(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    """Keep the ledger's history from growing without end."""
    before = platform.clock.now() - timedelta(days=read_settings().history_retention_days)
    n_deleted = platform.ledger.retention.forget(before)
    context.log.info("%s changes and steps deleted", n_deleted)
    context.add_output_metadata({"deleted": n_deleted})


@dg.job(description="Deletes old runs from Dagster's database, and old history from the ledger, that nobody needs.")
def prune_runs() -> None:
    """Prune."""
    cast("object", prune_old_runs())
    cast("object", prune_ledger())


daily_pruning = dg.ScheduleDefinition(
    name="daily_pruning",
    job=prune_runs,
    cron_schedule="30 4 * * *",
    description="Deletes old runs, and old history of the ledger, every day at 04:30 UTC.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
