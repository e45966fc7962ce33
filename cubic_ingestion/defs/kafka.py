"""The Kafka batcher as a job: one bounded pass, for those who run no ``cubic kafka batch --follow``."""

from typing import cast

import dagster as dg

from cubic_ingestion.bootstrap import build_batcher
from cubic_ingestion.defs.failures import step_failures
from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.translator import fetch_tags
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.settings import read_settings


@dg.op(description="Reads the Kinesis stream up to its newest record, and cuts what is due.")
def batch_kinesis(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    """Do what ``cubic kafka batch`` does."""
    with step_failures(retry_after_seconds=30):
        batcher = build_batcher(read_settings(), platform, lambda trouble: context.log.warning("%s", inert(trouble)))
        report = batcher.run_once()
    context.log.info(
        "%s records, %s files, %s dead letters", report.done.n_records, report.done.n_files, report.done.n_dead_letters
    )
    context.add_output_metadata({"records": report.done.n_records, "files": report.done.n_files})


@dg.job(description="Brings the records of the Kinesis stream to Incoming.")
def kafka_batch() -> None:
    """Make one bounded pass over the Kinesis stream."""
    cast("object", batch_kinesis())


@dg.schedule(
    job=kafka_batch,
    cron_schedule="*/10 * * * *",
    description="One pass every ten minutes, if CUBIC_KINESIS_STREAM is set.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def kafka_batch_schedule() -> dg.RunRequest | dg.SkipReason:
    """Request a pass, unless there is nothing to read."""
    if not read_settings().kinesis_stream:
        return dg.SkipReason("CUBIC_KINESIS_STREAM is not set.")
    return dg.RunRequest(tags=fetch_tags(StreamName.KAFKA))
