"""Kinesis over HTTP."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from cubic_ingestion.errors import SettingsError, StreamUnavailableError
from cubic_ingestion.fetchers.kinesis_record_source import KinesisRecordSource, translated
from cubic_ingestion.ports import Shard

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD, FOURTH = (f"shardId-{number:012}" for number in range(4))


def a_stream(kinesis: Any, name: str, *messages: str, n_shards: int = 1) -> KinesisRecordSource:
    kinesis.create_stream(StreamName=name, ShardCount=n_shards)
    for message in messages:
        kinesis.put_record(StreamName=name, Data=message.encode(), PartitionKey=message)
    return KinesisRecordSource(name)


def test_a_shard_is_read_from_its_oldest_record_on_and_from_behind_a_checkpoint(kinesis: Any) -> None:
    source = a_stream(kinesis, "plain", "a", "b", "c")
    page = source.reader(FIRST, None).read()
    assert [record.data for record in page.records] == [b"a", b"b", b"c"]
    assert page.last_sequence_number == str(page.records[-1].position)
    assert not page.is_end

    reader = source.reader(FIRST, str(page.records[1].position))
    assert [record.data for record in reader.read().records] == [b"c"]
    again = reader.read()
    assert (again.records, again.last_sequence_number, again.behind_milliseconds) == ([], None, 0)


def test_an_expired_iterator_is_replaced_by_one_behind_what_was_read(kinesis: Any) -> None:
    source = a_stream(kinesis, "expiring", "a", "b")
    reader = source.reader(FIRST, None)
    reader.read()
    kinesis.put_record(StreamName="expiring", Data=b"c", PartitionKey="c")
    n_reads = 0
    started: list[str] = []

    def expire(**_: object) -> None:
        nonlocal n_reads
        n_reads += 1
        if n_reads == 1:
            raise ClientError({"Error": {"Code": "ExpiredIteratorException"}}, "GetRecords")

    events = source.client.meta.events
    events.register("before-call.kinesis.GetRecords", expire)
    events.register("before-call.kinesis.GetShardIterator", lambda params, **_: started.append(str(params["body"])))
    assert [record.data for record in reader.read().records] == [b"c"]
    assert n_reads == 2
    (start,) = started
    assert "AFTER_SEQUENCE_NUMBER" in start


def test_a_split_shard_names_its_parent_and_ends_when_it_is_drained(kinesis: Any) -> None:
    source = a_stream(kinesis, "splitting", n_shards=1)
    kinesis.split_shard(StreamName="splitting", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    assert source.shards() == [Shard(FIRST), Shard(SECOND, (FIRST,)), Shard(THIRD, (FIRST,))]
    assert source.reader(FIRST, None).read().is_end
    assert not source.reader(SECOND, None).read().is_end

    kinesis.merge_shards(StreamName="splitting", ShardToMerge=SECOND, AdjacentShardToMerge=THIRD)
    assert source.shards()[3] == Shard(FOURTH, (SECOND, THIRD))


def test_a_stream_that_is_not_there_is_named(kinesis: Any) -> None:
    del kinesis
    with pytest.raises(SettingsError, match="CUBIC_KINESIS_STREAM: There is no Kinesis stream 'nowhere'"):
        KinesisRecordSource("nowhere").shards()


def test_a_region_that_is_not_set_is_named(kinesis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del kinesis
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SettingsError, match="AWS_DEFAULT_REGION"):
        KinesisRecordSource("any").shards()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ProvisionedThroughputExceededException", StreamUnavailableError),
        ("InternalFailure", StreamUnavailableError),
        ("KMSThrottlingException", StreamUnavailableError),
        ("AccessDeniedException", SettingsError),
        ("InvalidArgumentException", SettingsError),
    ],
)
def test_what_kinesis_refuses_passes_or_not(code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="fares"), translated("fares"):
        raise ClientError({"Error": {"Code": code}}, "GetRecords")


def test_a_connection_that_fails_may_pass() -> None:
    with pytest.raises(StreamUnavailableError), translated("fares"):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
