"""Assets: one a declared table, all made by one factory."""

from collections.abc import Collection, Iterator

import dagster as dg

from cubic_ingestion.defs.checks import RECORD_COUNT, RECORD_COUNT_DESCRIPTION, record_count_result
from cubic_ingestion.defs.io_managers import SpringboardIOManager
from cubic_ingestion.defs.partitions import add_partitions, partitions_of
from cubic_ingestion.defs.resources import PlatformResource
from cubic_ingestion.defs.translator import asset_key, asset_spec, materialization_metadata
from cubic_ingestion.domain.layout import springboard_prefix
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import FatalError, RetriableError
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.pipeline.ingest import Report, ingest
from cubic_ingestion.pipeline.release import release
from cubic_ingestion.ports import Platform


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
        platform: PlatformResource,
        springboard: dg.ResourceParam[SpringboardIOManager],
    ) -> Iterator[dg.AssetCheckResult]:
        built = platform.platform()
        keys = _requested_partitions(context)
        try:
            if context.retry_number:
                release(built, context.run.run_id)  # what this step held when it failed, which it could not take again
            report = ingest(built, table, springboard.write_load, run_id=context.run.run_id, partition_keys=keys)
        except RetriableError as error:
            raise dg.RetryRequested(max_retries=3, seconds_to_wait=10) from error
        except FatalError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        _report_partitions(context, built, table, report, keys or ())
        yield record_count_result(asset_key(table), report)
        if keys is not None and (trouble := _trouble(report)):
            load, reason = trouble[0]
            description = f"{len(trouble)} loads were not ingested, the first: {load.version.key}: {reason}"
            raise dg.Failure(description=description, allow_retries=False)

    return springboard_table


def _requested_partitions(context: dg.AssetExecutionContext) -> list[str] | None:
    return list(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else None


def _trouble(report: Report) -> list[tuple[Load, str]]:
    return [(load, reason.message) for load, reason in report.rejected] + report.released


def _report_partitions(
    context: dg.AssetExecutionContext, platform: Platform, table: Table, report: Report, requested: Collection[str]
) -> None:
    """Log one materialisation for each partition that this run filled, or that it was asked for and is sound.

    A day without data is one of the latter: a backfill over it would otherwise never end well.
    """
    by_partition = report.by_partition()
    sound = set(requested) - {load.partition_key for load, _ in _trouble(report)}
    totals = platform.repository.partition_totals(table.name, by_partition.keys() | sound)
    add_partitions(context.instance, table, list(totals))
    n_table_rows = platform.repository.n_rows(table.name) if totals or sound else 0
    uri = platform.stores.springboard.uri(springboard_prefix(table))
    for key in sorted(totals.keys() | sound):
        ingested = by_partition.get(key, ())
        last = next((one for one in reversed(ingested) if one.location), None)
        metadata = materialization_metadata(
            totals.get(key),
            arrow_schema(last.columns) if last else None,
            report.previews[last.load_id] if last else None,
            n_table_rows=n_table_rows,
            n_loads=len(ingested),
            locations=sorted(one.location for one in ingested if one.location),
            uri=uri,
            changes=[
                f"`{load.version.file_name}`: {change}"
                for load, change in report.schema_changes
                if load.partition_key == key
            ],
        )
        context.log_event(dg.AssetMaterialization(asset_key(table), partition=key, metadata=metadata))
    for load, reason in report.rejected:
        context.log.warning("Load %s (%s) rejected: %s", load.id, load.version.key, reason.message)
    for load, why in report.released:
        context.log.warning("Load %s (%s) given back: %s", load.id, load.version.key, why)
