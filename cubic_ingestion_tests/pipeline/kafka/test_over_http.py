"""The batcher on a Kinesis over HTTP, with a clock that stands: resharding, and each record in exactly one file."""

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.kinesis.models import kinesis_backends

from cubic_ingestion.fetchers.kinesis_record_source import KinesisRecordSource
from cubic_ingestion_tests.fetchers.kinesis_server import kinesis_server
from cubic_ingestion_tests.pipeline.kafka.memory_stream import MemoryStream, a_batcher, a_depot, numbers, records_of

pytestmark = pytest.mark.slow

STREAM = "fares"
N_RECORDS = 1_500
MAX_RECORDS = 100


@pytest.fixture(scope="module")
def server() -> Iterator[Mapping[str, str]]:
    """Variables that lead to a Kinesis over HTTP."""
    with kinesis_server() as variables:
        yield variables


@contextmanager
def records_left_in_place() -> Generator[None]:
    """Have shards keep their records while they are split or merged: Kinesis does, moto copies them to the children."""
    shards = cast("Any", kinesis_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]).streams[STREAM].shards
    before = {name: shard.records for name, shard in shards.items()}
    yield
    for name, shard in shards.items():
        shard.records = before.get(name, OrderedDict())


def put(kinesis: Any, start: int) -> None:
    """Put 500 numbered records."""
    rows = [{"Data": f'{{"topic":"taps","n":{n}}}', "PartitionKey": str(n)} for n in range(start, start + 500)]
    kinesis.put_records(StreamName=STREAM, Records=rows)


def test_each_record_is_in_one_file_while_shards_are_split_and_merged(
    server: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName=STREAM, ShardCount=3)
    depot = a_depot(tmp_path)
    depot.clock.moment = datetime.now(UTC) + timedelta(minutes=1)
    source = cast("MemoryStream", KinesisRecordSource(STREAM))
    shards = [f"shardId-{number:012}" for number in range(3)]

    put(kinesis, 0)
    a_batcher(depot, source, max_records=MAX_RECORDS).run_once()
    with records_left_in_place():
        start = kinesis.list_shards(StreamName=STREAM)["Shards"][0]["HashKeyRange"]
        middle = (int(start["StartingHashKey"]) + int(start["EndingHashKey"])) // 2
        kinesis.split_shard(StreamName=STREAM, ShardToSplit=shards[0], NewStartingHashKey=str(middle))
    put(kinesis, 500)
    with records_left_in_place():
        kinesis.merge_shards(StreamName=STREAM, ShardToMerge=shards[1], AdjacentShardToMerge=shards[2])
    put(kinesis, 1_000)
    a_batcher(depot, source, owner="two", max_records=MAX_RECORDS).run_once()

    closed = {progress.shard for progress in depot.platform.ledger.shards.progress() if progress.is_ended}
    assert closed == set(shards)
    depot.clock.advance(hours=2)
    a_batcher(depot, source, owner="three", max_records=MAX_RECORDS).run_once()

    files = records_of(depot)
    assert numbers(files) == list(range(N_RECORDS))
    full = [records for records in files.values() if len(records) == MAX_RECORDS]
    assert len(files) - len(full) <= len(depot.platform.ledger.shards.progress())  # one rest a shard
    assert max(map(len, files.values())) == MAX_RECORDS
