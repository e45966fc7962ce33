"""What AWS Lambda hands over of a Kinesis stream (an event source mapping's event), as pages of a shard."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cubic_ingestion.fetchers.kinesis_records import unpack
from cubic_ingestion.ports import Page


def pages_of(event: Mapping[str, Any]) -> Sequence[tuple[str, str, Page]]:
    """Return the event's records by shard: shard, sequence number of the first, page. One event is of one shard.

    Args:
        event: As AWS documents it: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html.
    """
    by_shard: dict[str, list[Mapping[str, Any]]] = {}
    for record in event["Records"]:
        by_shard.setdefault(record["eventID"].partition(":")[0], []).append(record["kinesis"])
    return [(shard, sent[0]["sequenceNumber"], _page(sent)) for shard, sent in by_shard.items()]


def _page(sent: Sequence[Mapping[str, Any]]) -> Page:
    records = [
        record
        for one in sent
        for record in unpack(
            one["sequenceNumber"],
            datetime.fromtimestamp(one["approximateArrivalTimestamp"], UTC),
            b64decode(one["data"]),
        )
    ]
    return Page(records, sent[-1]["sequenceNumber"], 0)
