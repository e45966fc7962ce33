"""Cleaning: a job removes from the warehouse, every hour, what no kept snapshot has needed for the grace period."""

from datetime import timedelta
from typing import cast

import dagster as dg

from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.pipeline import cleaning
from cubic_ingestion.pipeline.ingestion_platform import Platform

_EVERY = timedelta(hours=1)


@dg.op(description="Removes files that no kept snapshot has needed for CUBIC_WAREHOUSE_GRACE_HOURS.")
def remove_unneeded_files(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    """Keep the warehouse from growing without end."""
    with step_failures(retry_after_seconds=60):
        n_removed = cleaning.clean_warehouse(platform)
    context.log.info("%s objects removed", n_removed)
    context.add_output_metadata({"removed": n_removed})


@dg.job(description="Removes files from the warehouse that no kept snapshot needs, after their grace period.")
def clean_warehouse() -> None:
    """Clean the warehouse."""
    cast("object", remove_unneeded_files())


def is_cleaning_due(instance: dg.DagsterInstance, platform: Platform) -> bool:
    """Say whether the last run of ``clean_warehouse`` began an hour ago, or is unknown, and there is a warehouse.

    Where the daemon runs, its schedule keeps this false. It asks Dagster one question, and the bucket only after it.
    """
    newest = instance.get_run_records(dg.RunsFilter(job_name=clean_warehouse.name), limit=1)
    if newest and abs(platform.clock.now() - newest[0].create_timestamp) < _EVERY:
        return False
    return bool(platform.warehouse.bucket.prefixes(""))


hourly_cleaning = dg.ScheduleDefinition(
    name="hourly_cleaning",
    job=clean_warehouse,
    cron_schedule="15 * * * *",
    description="Removes unneeded files from the warehouse every hour, at a quarter past.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
