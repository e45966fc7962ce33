"""The Kafka batcher's schedule."""

import dagster as dg
import pytest

from cubic_ingestion.defs.kafka import kafka_batch, kafka_batch_schedule


@pytest.mark.usefixtures("home")
def test_nothing_is_requested_while_no_kinesis_stream_is_named(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.build_schedule_context(instance=instance) as context:
        skipped = kafka_batch_schedule.evaluate_tick(context)
        monkeypatch.setenv("CUBIC_KINESIS_STREAM", "fares")
        requested = kafka_batch_schedule.evaluate_tick(context)

    assert (skipped.skip_message, skipped.run_requests) == ("CUBIC_KINESIS_STREAM is not set.", [])
    assert [request.tags["cubic/lane"] for request in requested.run_requests or ()] == ["kafka-fetch"]


@pytest.mark.usefixtures("home")
def test_a_run_without_a_stream_fails_and_names_the_setting(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = definitions.resolve_job_def(kafka_batch.name)
    result = job.execute_in_process(instance=instance, raise_on_error=False)

    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "CUBIC_KINESIS_STREAM" in str(failed.step_failure_data.user_failure_data)
