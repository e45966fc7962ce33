"""Sensors: one a stream watches Incoming; one sends originals on their way, one tells the catalog; two clear up."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.jobs import move_originals, move_run_config, update_catalog
from cubic_ingestion.defs.products import update_all_products, update_lane
from cubic_ingestion.defs.reporting import report_open_state, report_unreported
from cubic_ingestion.defs.translator import STREAM_TAG, asset_key, catalog_tags, lane_tags, products_tags
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.product import Lane
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.observability.health import tables_that_wait_too_long
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.passes import has_originals_to_move, is_catalog_update_due, scan, tables_to_ingest
from cubic_ingestion.pipeline.release import release
from cubic_ingestion.products.update import due_products, in_lane

INTERVAL_SECONDS = 10
TICK_SECONDS = 20
"""A tick that is not done with its listing by then goes on at the next; Dagster ends one after 60 s."""

UNREPORTED_SECONDS = 60
"""The run that changed a partition is given this time to report it itself."""

_LONGEST_START = timedelta(minutes=2)
_STARTING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]


def build_incoming_sensor(stream: StreamName, tables: Sequence[Table]) -> dg.SensorDefinition:
    """Make the sensor that registers and plans what lies in a stream's Incoming, and requests one run for all of it."""

    @dg.sensor(
        name=f"{stream}_incoming",
        description=f"Watches `{stream.prefix}` in Incoming.",
        asset_selection=[asset_key(table) for table in tables],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def incoming(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.RunRequest | dg.SkipReason:
        registration = scan(platform, stream, after=_key(context.cursor or ""), timeout_seconds=TICK_SECONDS)
        context.update_cursor(_cursor(registration.resume_after))
        for unknown in registration.unknown:
            context.log.warning("%s", inert(str(unknown)))
        request = ingest_request(platform, stream)
        if request is None:
            return dg.SkipReason(f"Nothing new among {counted(registration.n_seen, 'file')}.")
        if _is_waiting(context.instance, request.tags):
            return dg.SkipReason("A run that will take these loads has not started yet.")
        return request

    return incoming


def _cursor(key: str) -> str:
    """Return a key as a cursor: ASCII, since Dagster's UI cannot show one that is not UTF-8."""
    return json.dumps(key) if key else ""


def _key(cursor: str) -> str:
    """Return the key of a cursor; older ones are the key itself."""
    return json.loads(cursor) if cursor.startswith('"') else cursor


def ingest_request(platform: Platform, stream: StreamName) -> dg.RunRequest | None:
    """Request one run over all tables of a stream that have loads to ingest; None if there are none."""
    tables = tables_to_ingest(platform, stream)
    if not tables:
        return None
    return dg.RunRequest(asset_selection=[asset_key(table) for table in tables], tags=lane_tags(stream, "ingest"))


def build_originals_sensor() -> dg.SensorDefinition:
    """Make the sensor that requests a run of ``move_originals`` for each stream with originals to move."""

    @dg.sensor(
        name="originals",
        description="Sends originals to Archive, or to Error.",
        job_name=move_originals.name,  # the job itself would be resolved again, with a warning in every run's log
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def originals(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.RunRequest]:
        for stream in StreamName:
            tags = lane_tags(stream, "move")
            if has_originals_to_move(platform, stream) and not _is_waiting(context.instance, tags):
                yield dg.RunRequest(run_config=move_run_config(stream), tags=tags)

    return originals


def build_catalog_sensor() -> dg.SensorDefinition:
    """Make the sensor that requests a run of ``update_catalog`` when there is something to tell."""

    @dg.sensor(
        name="catalog",
        description="Tells the catalog of new rows.",
        job_name=update_catalog.name,  # as above
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def catalog(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.RunRequest | dg.SkipReason:
        tags = catalog_tags(in_lane=True)
        if not is_catalog_update_due(platform):
            return dg.SkipReason("The catalog knows everything, or is not to be asked again yet.")
        if _is_waiting(context.instance, tags):
            return dg.SkipReason("A run that will tell it has not started yet.")
        return dg.RunRequest(tags=tags)

    return catalog


def build_products_sensor() -> dg.SensorDefinition:
    """Make the sensor that requests a run of ``update_products`` when a product is due."""

    @dg.sensor(
        name="products",
        description="Brings products up to date: often what is cheap, seldom what is costly.",
        job_name=update_all_products.name,  # as above
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def products(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        due = due_products(platform)
        if not due:
            return dg.SkipReason("No product has changes and is due.")
        lanes = [lane for lane in Lane if in_lane(platform, due, lane)]
        requests = [
            dg.RunRequest(tags=products_tags(lane), run_config=update_lane(lane))
            for lane in lanes
            if not _is_waiting(context.instance, products_tags(lane))
        ]
        return requests or dg.SkipReason("A run that will update them has not started yet.")

    return products


@dg.sensor(
    description="Reports what no run does: partitions of runs that were killed, rejections while planning, "
    "acknowledged loads, and loads that wait too long.",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def unreported_partitions(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Report here, without a run: a run would cost more than everything that it had to report."""
    n_changes = report_unreported(
        platform, context.instance, older_than_seconds=UNREPORTED_SECONDS, timeout_seconds=TICK_SECONDS
    )
    # Time alone makes a load wait too long, and no transaction records that.
    before: set[str] = set(json.loads(context.cursor or "[]"))
    now = tables_that_wait_too_long(platform.tables, platform.ledger, platform.clock.now(), platform.limits)
    for name in before ^ now:
        if name in platform.tables:
            report_open_state(platform, context.instance, platform.tables[name])
    context.update_cursor(json.dumps(sorted(now)))
    return dg.SkipReason(f"Changes reported: {n_changes}.")


@dg.run_failure_sensor(
    description="Gives back the loads that a failed run held, so that they need not wait for its claims to expire.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def release_failed_run(context: dg.RunFailureSensorContext, platform: dg.ResourceParam[Platform]) -> None:
    """Give back what the failed run held."""
    n_released = release(platform, context.dagster_run.run_id)
    context.log.info("%s loads given back", n_released)


@dg.sensor(
    description="Ends runs whose process is gone, so that they keep no place in the queue.",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def dead_runs(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Report runs as failed that hold no claim and have logged nothing for as long as a claim lasts.

    Dagster notices a run process that was killed, but not one that went down with its code server or machine, nor a
    ``cubic ingest``.
    """
    silent_since = datetime.now(UTC) - timedelta(seconds=platform.limits.claim_timeout_seconds)
    ended: list[str] = []
    for run in context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        is_ours = STREAM_TAG in run.tags
        if is_ours and _is_silent(context.instance, run.run_id, silent_since) and not _is_at_work(platform, run.run_id):
            context.instance.report_run_failed(run, "Its process is gone: it holds no claim and has logged nothing.")
            ended.append(run.run_id)
    return dg.SkipReason(f"Ended: {', '.join(ended) or 'none'}.")


def _is_silent(instance: dg.DagsterInstance, run_id: str, since: datetime) -> bool:
    last = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    return not last or last[0].timestamp < since.timestamp()


def _is_at_work(platform: Platform, run_id: str) -> bool:
    return platform.ledger.claims.is_at_work(run_id, platform.clock.now())


def _is_waiting(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> bool:
    """Say whether a run for the same work has not started yet, so that another would find nothing to claim.

    One that hangs between queue and start does not count for long, or it would stop its stream.
    """
    recent = datetime.now(UTC) - _LONGEST_START
    queued = dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.QUEUED])
    starting = dg.RunsFilter(tags=tags, statuses=_STARTING, updated_after=recent)
    return instance.get_runs_count(queued) + instance.get_runs_count(starting) > 0
