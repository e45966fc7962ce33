"""Jobs: moving originals, and telling the catalog, apart from ingesting, so that none waits for another."""

from typing import cast

import dagster as dg

from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.catalog import catalog
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.release import release


class MoveConfig(dg.Config):
    """Whose originals to move."""

    stream: str


@dg.op(description="Moves originals of ingested loads to Archive, and of rejected ones to Error with their reason.")
def move(context: dg.OpExecutionContext, config: MoveConfig, platform: dg.ResourceParam[Platform]) -> None:
    """Move what waits for it in one stream."""
    stream = StreamName(config.stream)
    names = [table.name for table in platform.tables.values() if table.stream is stream]
    with step_failures(retry_after_seconds=10):
        if context.retry_number:
            release(platform, context.run_id)  # what this step held when it failed, which it could not take again
        report = archive(platform, names, run_id=context.run_id)
    context.log.info("%s archived, %s errored", report.n_archived, report.n_errored)
    for load, why in report.released:
        context.log.warning("Load %s (%s) given back: %s", load.id, inert(load.version.key), inert(why))


@dg.job(description="Moves originals to Archive and Error.")
def move_originals() -> None:
    """Move the originals of one stream."""
    cast("object", move())


def move_run_config(stream: StreamName) -> dg.RunConfig:
    """Configure a run of ``move_originals`` for one stream."""
    return dg.RunConfig(ops={"move": MoveConfig(stream=stream.value)})


@dg.op(description="Tells the catalog what came, was replaced or went in Springboard.")
def tell_catalog(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    """Bring the catalog up to date; what it refuses for a while is tried again by a later run."""
    with step_failures(retry_after_seconds=10):
        report = catalog(platform, list(platform.tables), run_id=context.run_id)
    context.log.info("%s changes told", report.n_changes)
    for table, why in report.refused.items():
        context.log.warning("Not in the catalog yet: %s: %s", table, inert(why))
    if report.fatal:
        raise dg.Failure(description=inert(str(report.fatal)), allow_retries=False)


@dg.job(description="Brings the catalog up to date with Springboard.")
def update_catalog() -> None:
    """Tell the catalog of all tables' changes."""
    cast("object", tell_catalog())
