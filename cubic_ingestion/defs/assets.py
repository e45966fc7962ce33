"""Assets: one a declared table, all made by one factory."""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from cubic_ingestion.defs.backfills import leave_out
from cubic_ingestion.defs.checks import RECORD_COUNT, RECORD_COUNT_DESCRIPTION, open_state, record_count_result
from cubic_ingestion.defs.event_log import is_evaluated
from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.io_managers import SpringboardIOManager
from cubic_ingestion.defs.partitions import partitions_of
from cubic_ingestion.defs.reporting import Outcome, Reporter, report_open_state
from cubic_ingestion.defs.translator import asset_spec
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.ingest import Report, ingest
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.release import release

_SHOWN = 20


def build_table_asset(table: Table) -> dg.AssetsDefinition:
    """Make the asset of a declared table.

    A run with partitions (a person's, or a backfill's) ingests all that those partitions ever received; a run without
    (a sensor's) whatever of the table is ready. Either way a partition is reported once its rows are in Springboard.
    """
    partitions_def = partitions_of(table)
    spec = asset_spec(table, partitions_def)

    @dg.asset(
        key=spec.key,
        group_name=spec.group_name,
        description=spec.description,
        tags=spec.tags,
        kinds=spec.kinds,
        metadata=spec.metadata,
        deps=[dep.asset_key for dep in spec.deps],
        partitions_def=partitions_def,
        freshness_policy=spec.freshness_policy,
        io_manager_key="springboard",
        output_required=False,
        check_specs=[dg.AssetCheckSpec(RECORD_COUNT, asset=spec.key, description=RECORD_COUNT_DESCRIPTION)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def springboard_table(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        springboard: dg.ResourceParam[SpringboardIOManager],
    ) -> Iterator[dg.AssetCheckResult]:
        keys = _requested_partitions(context)
        outcome = Outcome()
        with step_failures(retry_after_seconds=10):
            if context.retry_number:
                # What this step held when it failed, which it could not take again.
                release(platform, context.run.run_id)
            report = ingest(platform, table, springboard.write_load, run_id=context.run.run_id, partition_keys=keys)
            reporter = Reporter(platform, context.instance, context.run.run_id, partial(_log_events, context))
            if keys is None:
                reporter.report_changes(table, report)
            else:
                outcome = reporter.report_requested(table, keys, report)
            state = open_state(platform, table)
        leave_out(context, table, outcome.without_loads)
        _log_report(context, report, outcome)
        yield record_count_result(table, state, report)
        if not is_evaluated(context.instance, dg.AssetCheckKey(spec.key, RECORD_COUNT)):
            report_open_state(platform, context.instance, table)
        if keys is not None and (trouble := _trouble(report, outcome)):
            raise dg.Failure(description=inert(trouble), allow_retries=False)

    return springboard_table


def _requested_partitions(context: dg.AssetExecutionContext) -> list[str] | None:
    return list(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else None


def _log_events(context: dg.AssetExecutionContext, events: Sequence[dg.AssetMaterialization]) -> None:
    for event in events:
        context.log_event(event)


def _trouble(report: Report, outcome: Outcome) -> str:
    """Word why a run that was started for some partitions has failed; empty if it has not."""
    reasons = {load.id: f"{load.version.key}: {reason.message}" for load, reason in report.rejected}
    reasons |= {load.id: f"{load.version.key}: {why}" for load, why in report.released}
    if reasons:
        loads = counted(len(reasons), "load was", "loads were")
        return f"{loads} not ingested, the first: {next(iter(reasons.values()))}"
    if outcome.rejected:
        partition, reason = next(iter(outcome.rejected.items()))
        partitions = counted(len(outcome.rejected), "partition has", "partitions have")
        return f"{partitions} no rows, the first: {partition}: {reason}"
    return ""


def _log_report(context: dg.AssetExecutionContext, report: Report, outcome: Outcome) -> None:
    for load, reason in report.rejected:
        context.log.warning("Load %s (%s) rejected: %s", load.id, inert(load.version.key), inert(reason.message))
    for load, why in report.released:
        context.log.warning("Load %s (%s) given back: %s", load.id, inert(load.version.key), inert(why))
    for partition, reason in outcome.rejected.items():
        context.log.warning("Partition %s has no rows. %s", partition, reason)
    if outcome.under_way:
        context.log.info("Their loads are still on their way: %s", _listed(outcome.under_way))
    if outcome.without_loads:
        context.log.info("Nothing was ever delivered for: %s", _listed(outcome.without_loads))
    for partition in outcome.without_loads[:_SHOWN]:
        observed = {"problem": "Nothing was ever delivered for this partition."}
        context.log_event(dg.AssetObservation(context.asset_key, partition=partition, metadata=observed))


def _listed(partitions: Sequence[str]) -> str:
    more = f" and {len(partitions) - _SHOWN} more" if len(partitions) > _SHOWN else ""
    return ", ".join(partitions[:_SHOWN]) + more
