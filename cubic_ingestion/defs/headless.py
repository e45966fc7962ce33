"""Headless: what the sensors and the daemon do, in this process, until Incoming holds nothing ready."""

import warnings
from collections.abc import Collection
from time import sleep

import dagster as dg

from cubic_ingestion.defs.jobs import move_originals, move_run_config, update_catalog
from cubic_ingestion.defs.sensors import has_catalog_changes, has_originals, ingest_request
from cubic_ingestion.defs.translator import asset_key, catalog_tags, stream_tags
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import RetriableError
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.release import release
from cubic_ingestion.ports import Platform

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def ingest_incoming(definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform) -> list[str]:
    """Register, ingest and archive all streams' files, and repeat while that finds more; then tell the catalog.

    Returns:
        Messages of runs that failed; the loads they held wait for the next pass.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # Dagster's own, about what it does itself
        failures = [
            failure for stream in StreamName for failure in _ingest_stream(definitions, instance, platform, stream)
        ]
        return failures + bring_catalog_up_to_date(definitions, instance, platform)


def replay_partitions(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, table: Table, keys: Collection[str]
) -> list[str]:
    """Ingest again all that some partitions of a table ever received, as a backfill does.

    Returns:
        Messages of runs that failed.
    """
    failures: list[str] = []
    job = definitions.resolve_implicit_global_asset_job_def()
    for key in keys:
        result = job.execute_in_process(
            run_config=_QUIET,
            instance=instance,
            asset_selection=[asset_key(table)],
            partition_key=key,
            tags=stream_tags(table.stream),
            raise_on_error=False,
        )
        _note(result, platform, failures)
    return failures + bring_catalog_up_to_date(definitions, instance, platform)


def bring_catalog_up_to_date(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform
) -> list[str]:
    """Tell the catalog what it does not know yet, if there is something; loads wait for none of this.

    Returns:
        Messages of a run that failed.
    """
    failures: list[str] = []
    try:
        if has_catalog_changes(platform):
            job = definitions.resolve_job_def(update_catalog.name)
            tags = catalog_tags(in_lane=False)
            result = job.execute_in_process(run_config=_QUIET, instance=instance, tags=tags, raise_on_error=False)
            _note(result, platform, failures)
    except RetriableError as error:
        failures.append(f"catalog: {error}")
    return failures


def _ingest_stream(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, stream: StreamName
) -> list[str]:
    """Ingest one stream; what is wrong with it is returned, so that it stops no other."""
    failures: list[str] = []
    try:
        has_waited = False
        while not failures:
            registration = register(platform, stream)
            if _pass(definitions, instance, platform, stream, failures):
                has_waited = False
            elif registration.n_unsettled and not has_waited:
                sleep(platform.limits.settle_seconds)  # what just landed; not a file that somebody writes to for hours
                has_waited = True
            else:
                break
    except RetriableError as error:
        failures.append(f"{stream}: {error}")
    return failures


def _pass(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    platform: Platform,
    stream: StreamName,
    failures: list[str],
) -> bool:
    """Ingest and archive what is ready now; False if there was nothing to do."""
    plan(platform, stream)
    request = ingest_request(platform, stream)
    if request is not None:
        job = definitions.resolve_implicit_global_asset_job_def()
        _note(
            job.execute_in_process(
                run_config=_QUIET,
                instance=instance,
                asset_selection=list(request.asset_selection or []),
                tags=stream_tags(stream),
                raise_on_error=False,
            ),
            platform,
            failures,
        )
    has_moves = has_originals(platform, stream)
    if has_moves:
        config = {**move_run_config(stream).to_config_dict(), **_QUIET}
        job = definitions.resolve_job_def(move_originals.name)
        result = job.execute_in_process(
            run_config=config, instance=instance, tags=stream_tags(stream), raise_on_error=False
        )
        _note(result, platform, failures)
    return request is not None or has_moves


def _note(result: dg.ExecuteInProcessResult, platform: Platform, failures: list[str]) -> None:
    """Do for a failed run what the failure sensor does, and keep what it says."""
    if not result.success:
        release(platform, result.run_id)
        failed = result.filter_events(lambda event: event.is_step_failure)
        failed = failed or result.filter_events(lambda event: event.is_failure)
        failures.extend(f"Run {result.run_id}: {event.message} {_reason(event)}".rstrip() for event in failed)


def _reason(event: dg.DagsterEvent) -> str:
    """Word why a step failed, as the error that began it has it."""
    if not event.is_step_failure:
        return ""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else ""
