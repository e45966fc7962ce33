"""DMAP feeds: an asset a feed, upstream of its table, which brings new data sets to Incoming; and the schedule."""

from collections.abc import Iterator, Sequence
from datetime import time
from typing import Any

import dagster as dg

from cubic_ingestion.bootstrap import missing_for_dmap, open_fetcher
from cubic_ingestion.defs.event_log import of_newest
from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import code, inert, listed
from cubic_ingestion.defs.translator import feed_key, fetch_tags
from cubic_ingestion.domain.feed import Feed
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.dmap import FetchReport
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.settings import read_settings

COMPLETE = "complete"
_COMPLETE_DESCRIPTION = "Red if something that the feed lists could not be had in the last fetch."
_SHOWN = 20


def build_feed_asset(feed: Feed) -> dg.AssetsDefinition:
    """Make the asset of a feed; materialising it fetches what is new."""
    key = feed_key(feed.table)

    @dg.asset(
        key=key,
        group_name="dmap_feeds",
        description=f"The vendor's feed {code(feed.relative_url)}: new data sets, and restated ones, in Incoming.",
        tags={"cubic/stream": feed.table.stream.value},
        kinds={"api"},
        check_specs=[dg.AssetCheckSpec(COMPLETE, asset=key, description=_COMPLETE_DESCRIPTION)],
    )
    def dmap_feed(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        with step_failures(retry_after_seconds=300), open_fetcher(read_settings(), platform) as fetcher:
            report = fetcher.fetch(feed)
        for problem in report.problems:
            context.log.warning("%s", inert(problem))
        yield dg.MaterializeResult(metadata=_metadata(report), check_results=[_complete(report, key)])

    return dmap_feed


def report_fetch(instance: dg.DagsterInstance, report: FetchReport, *, has_failed: bool) -> None:
    """Show in Dagster a fetch that was made without a run, as the asset shows one.

    Args:
        instance: Where to show it.
        report: What was fetched.
        has_failed: The feed could not be read, so that nothing is materialised.
    """
    key = feed_key(report.feed.table)
    if not has_failed:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=_metadata(report)))
    result = _complete(report, key)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key, check_name=COMPLETE, passed=bool(result.passed), metadata=result.metadata
    )
    instance.report_runless_asset_event(of_newest(instance, evaluation))


def build_fetch_schedule(feeds: Sequence[Feed], at: time) -> dg.ScheduleDefinition:
    """Make the daily schedule, one run for all feeds: in one process, so that they share the limit of requests."""

    @dg.schedule(
        name="dmap_fetch_schedule",
        target=dg.AssetSelection.assets(*(feed_key(feed.table) for feed in feeds)),
        cron_schedule=f"{at.minute} {at.hour} * * *",
        execution_timezone="UTC",
        description="All DMAP feeds once a day, if CUBIC_DMAP_BASE_URL and its keys are set.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def dmap_fetch_schedule() -> dg.RunRequest | dg.SkipReason:
        settings = read_settings()
        if missing := missing_for_dmap(settings):
            return dg.SkipReason(str(missing))
        with_key = [feed_key(feed.table) for feed in feeds if feed.api_key in settings.dmap_api_keys]
        return dg.RunRequest(asset_selection=with_key, tags=fetch_tags(StreamName.DMAP))

    return dmap_fetch_schedule


def _complete(report: FetchReport, key: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not report.problems,
        check_name=COMPLETE,
        asset_key=key,
        metadata={"missing": listed(report.problems, _SHOWN)},
    )


def _metadata(report: FetchReport) -> dict[str, Any]:
    until = report.last_updated_at
    return {
        "listed": report.n_listed,
        "fetched": len(report.fetched),
        "files": listed([str(fetched.key) for fetched in report.fetched], _SHOWN),
        "waiting": listed([dataset.identifier for dataset in report.waiting], _SHOWN),
        "problems": len(report.problems),
        "is_held_elsewhere": report.is_held_elsewhere,
    } | ({"complete_until": dg.MetadataValue.timestamp(until)} if until else {})
