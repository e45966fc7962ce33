"""AWS Lambda's events."""

from base64 import b64encode
from typing import Any

from cubic_ingestion.fetchers.kinesis_event import pages_of
from cubic_ingestion_tests.builders import NOON


def an_event(shard: str, *messages: bytes, first: int = 100) -> dict[str, Any]:
    """Build an event as AWS documents it."""
    return {
        "Records": [
            {
                "eventID": f"{shard}:{number}",
                "eventSource": "aws:kinesis",
                "kinesis": {
                    "sequenceNumber": str(number),
                    "data": b64encode(message).decode(),
                    "approximateArrivalTimestamp": NOON.timestamp(),
                },
            }
            for number, message in enumerate(messages, first)
        ]
    }


def test_an_event_is_a_page_of_its_shard() -> None:
    ((shard, first, page),) = pages_of(an_event("shardId-000000000006", b"a", b"b"))

    assert (shard, first, page.last_sequence_number, page.is_end) == ("shardId-000000000006", "100", "101", False)
    assert [(str(record.position), record.arrived_at, record.data) for record in page.records] == [
        ("100", NOON, b"a"),
        ("101", NOON, b"b"),
    ]
