"""Headless: what the sensors and the daemon do, in this process, until all that was in Incoming is done."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

import dagster as dg

from cubic_ingestion.defs.cleaning import clean_warehouse, is_cleaning_due
from cubic_ingestion.defs.jobs import move_originals, move_run_config, update_catalog
from cubic_ingestion.defs.products import UPDATE_ALL, update_all_products
from cubic_ingestion.defs.reporting import report_unreported
from cubic_ingestion.defs.translator import asset_key, catalog_tags, products_tags, stream_tags
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import CubicIngestionError, UnlistedFoldersError
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.passes import has_work, is_catalog_update_due, scan, work_off
from cubic_ingestion.pipeline.release import release
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.products.update import products_with_changes

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def ingest_incoming(definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform) -> list[str]:
    """Register, ingest and archive what is in Incoming when this starts, in rounds.

    In each round every stream has one pass, then the catalog is updated. So no stream waits until another is done.
    Files that arrive later may be ingested too, but the command does not go on for them. A stream or the catalog that
    fails has no further turn.

    Returns:
        Messages of runs that failed; the loads they held wait for the next pass.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # Dagster's own, about what it does itself
        settled_at = monotonic() + platform.limits.settle_seconds
        streams = [_StreamTurns(definitions, instance, platform, stream, settled_at) for stream in StreamName]
        catalog_failures: list[str] = []
        while waiting := [stream for stream in streams if not stream.is_over]:
            has_worked = [stream.take_turn() for stream in waiting]
            if not catalog_failures:
                catalog_failures = bring_catalog_up_to_date(definitions, instance, platform)
            if not any(has_worked) and not all(stream.is_over for stream in streams):
                sleep(max(settled_at - monotonic(), 0))
        failures = [failure for stream in streams for failure in stream.all_failures()] + catalog_failures
        failures += bring_products_up_to_date(definitions, instance, platform)
        failures += clean_if_due(definitions, instance, platform)
        return failures + report_what_is_left(instance, platform)


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
    failures += bring_catalog_up_to_date(definitions, instance, platform)
    failures += bring_products_up_to_date(definitions, instance, platform)
    return failures + report_what_is_left(instance, platform)


def report_what_is_left(instance: dg.DagsterInstance, platform: Platform) -> list[str]:
    """Report partitions that no run has reported, for example because it was killed.

    Returns:
        A message if that did not succeed.
    """
    try:
        with last_resort():
            report_unreported(platform, instance)
    except CubicIngestionError as error:
        return [f"dagster: {error.problem}"]
    return []


def bring_catalog_up_to_date(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform
) -> list[str]:
    """Tell the catalog what it does not know yet, if there is something; loads wait for none of this.

    Returns:
        Messages of a run that failed.
    """
    failures: list[str] = []
    try:
        with last_resort():
            if is_catalog_update_due(platform):
                job = definitions.resolve_job_def(update_catalog.name)
                tags = catalog_tags(in_lane=False)
                result = job.execute_in_process(run_config=_QUIET, instance=instance, tags=tags, raise_on_error=False)
                _note(result, platform, failures)
    except CubicIngestionError as error:
        failures.append(f"catalog: {error.problem}")
    return failures


def bring_products_up_to_date(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform
) -> list[str]:
    """Apply to products what they do not have yet, whether or not they are due.

    Returns:
        Messages of a run that failed.
    """
    failures: list[str] = []
    try:
        with last_resort():
            if products_with_changes(platform):
                job = definitions.resolve_job_def(update_all_products.name)
                config = {**UPDATE_ALL.to_config_dict(), **_QUIET}
                tags = products_tags()
                result = job.execute_in_process(run_config=config, instance=instance, tags=tags, raise_on_error=False)
                _note(result, platform, failures)
    except CubicIngestionError as error:
        failures.append(f"products: {error.problem}")
    return failures


def clean_if_due(definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform) -> list[str]:
    """Clean the warehouse if nobody has done so for an hour: where no daemon runs, nobody else does.

    Returns:
        Messages of a run that failed.
    """
    failures: list[str] = []
    try:
        with last_resort():
            if is_cleaning_due(instance, platform):
                job = definitions.resolve_job_def(clean_warehouse.name)
                result = job.execute_in_process(run_config=_QUIET, instance=instance, raise_on_error=False)
                _note(result, platform, failures)
    except CubicIngestionError as error:
        failures.append(f"cleaning: {error.problem}")
    return failures


@dataclass(slots=True)
class _StreamTurns:
    """The passes of one stream."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    platform: Platform
    stream: StreamName
    settled_at: float
    """From this moment of the monotonic clock on, every file that was there at the start has settled."""
    newest_id: int | None = None
    """The loads up to this id were there at the start; None until a listing has shown them all, settled."""
    is_over: bool = False
    """Everything that was there at the start is done, or the stream has failed."""
    failures: list[str] = field(default_factory=list[str])
    unlisted: dict[str, str] = field(default_factory=dict[str, str])
    """Folders that the last pass could not list. They keep nothing else from being ingested."""

    def take_turn(self) -> bool:
        """Make one pass, and return True if there was something to do."""
        is_working = False
        try:
            with last_resort():
                is_working = self._has_work()
                if is_working:
                    work_off(self.platform, self.stream, ingest=self._ingest, move=self._move)
        except CubicIngestionError as error:
            self.failures.append(f"{self.stream}: {error.problem}")
        self.is_over = bool(self.failures) or (self.newest_id is not None and not is_working)
        return is_working

    def all_failures(self) -> list[str]:
        """Return what went wrong, and what could not be listed."""
        hidden = [UnlistedFoldersError(self.stream.prefix, self.unlisted).problem] if self.unlisted else []
        return self.failures + [f"{self.stream}: {problem}" for problem in hidden]

    def _has_work(self) -> bool:
        """Register and plan what is in Incoming; return True if a load that was there at the start can be claimed."""
        began_at = monotonic()
        registration = scan(self.platform, self.stream)
        self.unlisted = registration.unlisted
        # A file that somebody writes to for hours does not settle, and must not keep the command from ending.
        if self.newest_id is None and (not registration.n_unsettled or began_at >= self.settled_at):
            self.newest_id = self.platform.ledger.queries.newest_id()
        return has_work(self.platform, self.stream, through=self.newest_id)

    def _ingest(self, tables: Sequence[Table]) -> None:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            run_config=_QUIET,
            instance=self.instance,
            asset_selection=[asset_key(table) for table in tables],
            tags=stream_tags(self.stream),
            raise_on_error=False,
        )
        _note(result, self.platform, self.failures)

    def _move(self, stream: StreamName) -> None:
        config = {**move_run_config(stream).to_config_dict(), **_QUIET}
        job = self.definitions.resolve_job_def(move_originals.name)
        result = job.execute_in_process(
            run_config=config, instance=self.instance, tags=stream_tags(stream), raise_on_error=False
        )
        _note(result, self.platform, self.failures)


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
