"""Cleaning: a job removes from the warehouse, every hour, what no kept snapshot has needed for the grace period."""

from typing import cast

import dagster as dg

from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.pipeline import cleaning
from cubic_ingestion.pipeline.ingestion_platform import Platform


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


hourly_cleaning = dg.ScheduleDefinition(
    name="hourly_cleaning",
    job=clean_warehouse,
    cron_schedule="15 * * * *",
    description="Removes unneeded files from the warehouse every hour, at a quarter past.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
