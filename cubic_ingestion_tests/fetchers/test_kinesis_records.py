"""What a Kinesis record may carry."""

import gzip
import hashlib
import json
import sys

import pytest
from aws_kinesis_agg import MAGIC, aggregator

from cubic_ingestion.domain.batch import Position
from cubic_ingestion.fetchers import kinesis_records
from cubic_ingestion.fetchers.kinesis_records import unpack
from cubic_ingestion.ports import Record
from cubic_ingestion_tests.builders import NOON

NUMBER = str(49 * 10**54)


def unpacked(data: bytes) -> list[Record]:
    return list(unpack(NUMBER, NOON, data))


def an_aggregate(*messages: bytes) -> bytes:
    """Aggregate messages as AWS's own library does."""
    together = aggregator.RecordAggregator()
    for message in messages:
        together.add_user_record("key", message)
    whole = together.clear_and_get()
    assert whole is not None
    return whole.get_contents()[2]


def cloudwatch(kind: str, *messages: str) -> bytes:
    events = [{"id": str(n), "timestamp": n, "message": message} for n, message in enumerate(messages)]
    return gzip.compress(json.dumps({"messageType": kind, "owner": "1", "logEvents": events}).encode())


def test_a_plain_record_is_one_message() -> None:
    assert unpacked(b'{"a": 1}') == [Record(Position(int(NUMBER)), NOON, b'{"a": 1}')]


def test_an_aggregate_is_its_messages_numbered() -> None:
    path = sys.path.copy()
    records = unpacked(an_aggregate(b'{"a": 1}', b'{"a": 2}'))
    assert [(str(record.position), record.data) for record in records] == [
        (f"{NUMBER}:0", b'{"a": 1}'),
        (f"{NUMBER}:1", b'{"a": 2}'),
    ]
    assert records[0].position < records[1].position < Position(int(NUMBER) + 1)
    assert sys.path == path


@pytest.mark.parametrize(
    "data",
    [
        MAGIC,
        an_aggregate(b"{}")[:-1] + b"\0",
        MAGIC + b"\xff" + hashlib.md5(b"\xff", usedforsecurity=False).digest(),
    ],
    ids=["only the magic number", "a digest that does not fit", "no protocol buffer"],
)
def test_what_only_looks_like_an_aggregate_stays_as_it_is(data: bytes) -> None:
    assert [record.data for record in unpacked(data)] == [data]


def test_an_aggregate_of_nothing_is_no_loss_but_a_problem() -> None:
    data = MAGIC + hashlib.md5(b"", usedforsecurity=False).digest()
    assert [(record.data, record.problem) for record in unpacked(data)] == [(data, "an aggregate of nothing")]


def test_compressed_log_events_are_messages() -> None:
    records = unpacked(cloudwatch("DATA_MESSAGE", '{"a": 1}', "text 🚋"))
    assert [record.data.decode() for record in records] == ['{"a": 1}', "text 🚋"]


def test_other_gzip_is_one_message_of_any_number_of_members() -> None:
    data = gzip.compress(b'{"a":', mtime=0) + gzip.compress(b" 1}")
    assert unpacked(data) == [Record(Position(int(NUMBER)), NOON, b'{"a": 1}')]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (cloudwatch("CONTROL_MESSAGE", "CWL CONTROL MESSAGE"), "a CONTROL_MESSAGE of CloudWatch Logs"),
        (gzip.compress(b"{}", mtime=0)[:-5], "it is cut off"),
        (b"\x1f\x8bgarbage", "gzip that cannot be inflated"),
    ],
)
def test_what_cannot_be_unpacked_is_named_and_kept_as_it_came(data: bytes, problem: str) -> None:
    (record,) = unpacked(data)
    assert record.data == data
    assert problem in record.problem


def test_a_record_that_inflates_too_far_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinesis_records, "MOST_INFLATED_BYTES", 1_000)
    assert "more than 1000 bytes" in unpacked(gzip.compress(b" " * 1_001, mtime=0))[0].problem
    assert unpacked(gzip.compress(b" " * 1_000, mtime=0))[0].problem == ""
