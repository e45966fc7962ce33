"""The Kafka batcher as a process, and as AWS Lambda runs it, on a Kinesis over HTTP."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from cubic_ingestion.aws_lambda import PLATFORM, batch_kinesis
from cubic_ingestion.bootstrap import build, build_batcher
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.fetchers.kinesis_server import kinesis_server
from cubic_ingestion_tests.fetchers.test_kinesis_event import an_event

FIRST = "shardId-000000000000"
FOLLOW = [Path(sys.executable).with_name("cubic"), "kafka", "batch", "--follow"]
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[Mapping[str, str]]:
    """Variables that lead to a Kinesis over HTTP."""
    with kinesis_server() as variables:
        yield variables


@pytest.fixture
def kinesis(server: Mapping[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Iterator[Any]:
    """Client of that Kinesis; the settings name a stream of the test's own, of three shards."""
    del home
    stream = f"s{abs(hash(request.node.name))}"
    for name, value in {**server, "CUBIC_KINESIS_STREAM": stream}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("kinesis")
    client.create_stream(StreamName=stream, ShardCount=3)
    yield client
    PLATFORM.close()


def put(kinesis: Any, *numbers: int) -> None:
    """Put numbered events of the sample table."""
    rows = [{"Data": an_event_of(n), "PartitionKey": str(n)} for n in numbers]
    kinesis.put_records(StreamName=read_settings().kinesis_stream, Records=rows)


def an_event_of(number: int) -> bytes:
    """Return an event of the sample table."""
    return json.dumps({"topic": "sample", "event_id": str(number)}).encode()


def in_files(home: Path) -> Counter[int]:
    """Count how often each number is in a file."""
    files = (home / "incoming" / "cubic" / "kafka").glob("*/[!.]*.json")
    return Counter(int(json.loads(line)["event_id"]) for path in files for line in path.read_text().splitlines())


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_follower_is_replaced_and_a_stopped_one_ends_well_each_record_in_one_file(
    kinesis: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"LEASE_SECONDS": "3", "POLL_SECONDS": "0.1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"CUBIC_KINESIS_{name}", value)
    for name in ("BATCH_SECONDS", "COMMIT_SECONDS"):
        monkeypatch.setenv(f"CUBIC_KAFKA_{name}", "1")
    put(kinesis, *range(300))
    with subprocess.Popen(FOLLOW, text=True) as killed:
        wait_until(lambda: bool(in_files(home)), killed)
        killed.kill()
    put(kinesis, *range(300, 600))

    with subprocess.Popen(FOLLOW, stdout=subprocess.PIPE, text=True) as stopped:
        wait_until(lambda: len(in_files(home)) == 600, stopped)
        stopped.send_signal(signal.SIGTERM)
        said, _ = stopped.communicate(timeout=PATIENCE_SECONDS)

    assert (stopped.returncode, "records of 3 shards read" in said) == (0, True)
    assert in_files(home) == Counter(range(600))
    with build(read_settings()) as platform:
        assert {progress.owner for progress in platform.ledger.shards.progress()} == {None}


def test_one_pass_tells_what_it_did_and_status_tells_what_is_open(kinesis: Any, cubic: Cubic, home: Path) -> None:
    put(kinesis, *range(9))

    outcome = cubic("kafka", "batch", "--json")

    assert outcome.exit_code == 0
    assert (outcome.json["records"], outcome.json["files"], len(outcome.json["shards"])) == (9, 0, 3)
    shards = cubic("status", "--json").json["kafka_shards"]
    assert sum(shard["open_records"] for shard in shards) == 9
    assert {shard["leased_by"] for shard in shards} == {None}
    assert "Kafka batcher" in cubic("status").text
    assert in_files(home) == Counter()


def test_without_a_stream_the_setting_is_named(cubic: Cubic, home: Path) -> None:
    del home
    outcome = cubic("kafka", "batch")
    assert outcome.exit_code == 2
    assert "CUBIC_KINESIS_STREAM" in outcome.error


def test_a_stream_that_is_not_there_is_named(kinesis: Any, cubic: Cubic, monkeypatch: pytest.MonkeyPatch) -> None:
    del kinesis
    monkeypatch.setenv("CUBIC_KINESIS_STREAM", "nowhere")
    outcome = cubic("kafka", "batch")
    assert outcome.exit_code == 2
    assert "'nowhere'" in outcome.error


@pytest.mark.usefixtures("kinesis")
def test_aws_lambda_keeps_the_open_batch_between_calls_and_its_schedule_cuts_it(home: Path) -> None:
    for first in (100, 102, 102):  # the last is sent again
        sent = an_event(FIRST, an_event_of(first), an_event_of(first + 1), first=first)
        assert batch_kinesis(sent, None) == {"batchItemFailures": []}
    assert in_files(home) == Counter()

    assert batch_kinesis({"source": "aws.events"}, None) == {"files": 1, "problems": []}
    assert in_files(home) == Counter(range(100, 104))


@pytest.mark.usefixtures("kinesis", "home")
def test_aws_lambda_sends_an_event_again_whose_shard_another_reads() -> None:
    with build(read_settings()) as platform:
        batcher = build_batcher(read_settings(), platform)
        now = batcher.clock.now()
        batcher.ledger.shards.lease(
            batcher.source.stream, FIRST, "other", now=now, expires_at=now + timedelta(seconds=PATIENCE_SECONDS)
        )

    sent = an_event(FIRST, an_event_of(1), an_event_of(2))

    assert batch_kinesis(sent, None) == {"batchItemFailures": [{"itemIdentifier": "100"}]}
    assert now > NOON


@pytest.mark.postgres
@pytest.mark.usefixtures("kinesis")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_aws_lambda_leaves_no_more_connections_after_many_calls_than_after_one(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIC_DATABASE_URL", database_url)
    monkeypatch.setenv("CUBIC_DATABASE_POOL_SIZE", "1")
    for first in range(100, 120, 2):
        batch_kinesis(an_event(FIRST, an_event_of(first), an_event_of(first + 1), first=first), None)

    with psycopg.connect(database_url) as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert connection.execute(others).fetchone() in {(0,), (1,)}
