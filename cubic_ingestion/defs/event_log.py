"""Dagster's event log, where its public interface has no call for what is meant.

Here belong all uses of Dagster's internals that read or write events: many materialisations at once, an attempt at
partitions that no process made, and what the events say of some partitions among any number of others.
"""

from collections.abc import Collection, Mapping, Sequence
from time import time

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import MAX_RETRIES_TAG, PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id
from dagster_shared.record import replace

from cubic_ingestion.defs.partitions import existing_partitions
from cubic_ingestion.defs.translator import ATTEMPT_TAG, asset_key
from cubic_ingestion.domain.table import Table

_JUDGED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


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


def of_newest(instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation) -> dg.AssetCheckEvaluation:
    """Return the evaluation of a check as one of what its asset was last materialised with.

    An evaluation outside runs that names no materialisation is compared by time, which SQLite keeps in whole seconds:
    after a materialisation of the same second, Dagster's pages say that the check was not evaluated.
    """
    newest = _newest_materialization(instance, evaluation.asset_key)
    if newest is None:
        return evaluation
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
    )
    return replace(evaluation, target_materialization_data=target)


def is_evaluated(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> bool:
    """Return whether Dagster's pages show what a check said last, or that a run is about to say it.

    They show the evaluation of the run that was planned last, if it names the newest materialisation; else they say
    that the check was not evaluated. Of two runs of an asset, the one that was planned first may materialise last.
    """
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    if latest is None or latest.status not in _JUDGED:
        return latest is not None
    newest = _newest_materialization(instance, key.asset_key)
    if newest is None or newest.run_id == latest.run_id:
        return True
    target = latest.evaluation.target_materialization_data if latest.evaluation else None
    return target is not None and target.storage_id == newest.storage_id


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


def ever_materialized(instance: dg.DagsterInstance, table: Table, partition_keys: Collection[str]) -> set[str]:
    """Return those of some partitions that Dagster has ever shown as materialised."""
    return set(_newest(instance, table, dg.DagsterEventType.ASSET_MATERIALIZATION, partition_keys))


def shown(instance: dg.DagsterInstance, table: Table, partition_keys: Collection[str]) -> Mapping[str, bool]:
    """Return those of some partitions that Dagster's pages show as materialised and not as failed.

    The pages read a cache, which keeps all partitions of a table in one text. This function reads the events that
    Dagster computes the cache from, for these partitions alone. It answers what a newly computed cache says: a
    partition has failed if the newest attempt at it came after its newest materialisation, and that run failed.
    Dagster computes the cache anew when a dynamic partition is added, and else goes on from the last answer. Then its
    pages keep a partition red until it is materialised, even if a later attempt has not failed.

    Returns:
        By partition, whether a run that has not ended works on it.
    """
    existing = existing_partitions(instance, table, partition_keys)
    materialized = _newest(instance, table, dg.DagsterEventType.ASSET_MATERIALIZATION, existing)
    attempts = _newest(instance, table, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, materialized)
    run_ids = _run_ids(instance, table, [event for key, event in attempts.items() if event > materialized[key]])
    failed = _runs_in(instance, run_ids.values(), [dg.DagsterRunStatus.FAILURE])
    open_runs = _runs_in(instance, run_ids.values(), NOT_FINISHED_STATUSES)
    last_run = {key: run_ids.get(event) for key, event in attempts.items()}
    return {key: last_run.get(key) in open_runs for key in materialized if last_run.get(key) not in failed}


def _newest_materialization(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    records = instance.event_log_storage.get_asset_records([key])
    return records[0].asset_entry.last_materialization_record if records else None


def _newest(
    instance: dg.DagsterInstance, table: Table, kind: dg.DagsterEventType, partition_keys: Collection[str]
) -> Mapping[str, int]:
    """Return the id of the newest event of a kind, by partition; partitions without one are left out."""
    if not partition_keys:  # Dagster takes an empty set for all partitions
        return {}
    return instance.event_log_storage.get_latest_storage_id_by_partition(asset_key(table), kind, set(partition_keys))


def _run_ids(instance: dg.DagsterInstance, table: Table, event_ids: Sequence[int]) -> Mapping[int, str]:
    """Return the runs that planned to materialise something, by the events that say so."""
    if not event_ids:
        return {}
    planned = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=asset_key(table), storage_ids=event_ids
    )
    return {record.storage_id: record.run_id for record in instance.event_log_storage.get_event_records(planned)}


def _runs_in(
    instance: dg.DagsterInstance, run_ids: Collection[str], statuses: Sequence[dg.DagsterRunStatus]
) -> set[str]:
    """Return those of some runs that are in one of some statuses."""
    if not run_ids:
        return set()
    return set(instance.get_run_ids(dg.RunsFilter(run_ids=list(set(run_ids)), statuses=statuses)))


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
