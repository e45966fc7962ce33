"""Dagster's event log, where its public interface has no call for what is meant.

Here belong all uses of Dagster's internals that write events: many materialisations at once, and an attempt at
partitions that no process made.
"""

from collections.abc import Collection, Sequence
from time import time

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.tags import MAX_RETRIES_TAG, PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id

from cubic_ingestion.defs.translator import ATTEMPT_TAG, asset_key
from cubic_ingestion.domain.table import Table


def report_without_run(instance: dg.DagsterInstance, materializations: Sequence[dg.AssetMaterialization]) -> None:
    """Store materialisations of one asset that belong to no run; on PostgreSQL in one transaction."""
    entries = [
        _entry(
            dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name=RUNLESS_JOB_NAME,
                event_specific_data=StepMaterializationData(materialization),
            )
        )
        for materialization in materializations
    ]
    instance.event_log_storage.store_event_batch(entries)


def report_attempt(
    instance: dg.DagsterInstance, table: Table, partition_keys: Collection[str], failure: str | None = None
) -> None:
    """Record an attempt at some partitions, as a run that has ended.

    Dagster shows a partition as failed if the last run that set out to materialise it failed. The open source edition
    stores no other event that says so, and it cannot take back a materialisation.

    Args:
        instance: Dagster's instance.
        table: Whose partitions.
        partition_keys: The partitions; they must exist in the instance.
        failure: Why they have no rows. If None, the attempt succeeded without anything to materialise, so that an
            earlier attempt that failed does not count for these partitions.
    """
    key = asset_key(table)
    tags = {ATTEMPT_TAG: "true", MAX_RETRIES_TAG: "0"}
    if len(partition_keys) == 1:
        tags[PARTITION_NAME_TAG] = next(iter(partition_keys))
    run = instance.run_storage.add_run(
        dg.DagsterRun(
            job_name=IMPLICIT_ASSET_JOB_NAME,
            run_id=make_new_run_id(),
            asset_selection={key},
            tags=tags,
            status=dg.DagsterRunStatus.NOT_STARTED if failure else dg.DagsterRunStatus.SUCCESS,
        )
    )
    for partition_key in sorted(partition_keys):
        planned = dg.DagsterEvent.build_asset_materialization_planned_event(
            run.job_name, key.to_python_identifier(), AssetMaterializationPlannedData(key, partition=partition_key)
        )
        instance.report_dagster_event(planned, run.run_id)
    if failure:
        instance.report_run_failed(run, failure)


def _entry(event: dg.DagsterEvent) -> dg.EventLogEntry:
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=RUNLESS_RUN_ID,
        timestamp=time(),
        job_name=event.job_name,
        dagster_event=event,
    )
