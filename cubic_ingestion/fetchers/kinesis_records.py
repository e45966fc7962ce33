"""What a Kinesis record carries: one message, or several that somebody packed.

* The Kinesis Producer Library aggregates messages in a protocol buffer between a magic number and an MD5 digest
  (https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md). Where the digest does not fit,
  the bytes only look like that, and are taken as they are.
* CloudWatch Logs sends gzip of a JSON object with ``logEvents``, each with a ``message``; and, now and then, one of
  type ``CONTROL_MESSAGE`` that only tests whether it arrives.
* Other gzip is one message, compressed.

AWS's own reader of aggregates is not called, since it prints and leaves out what it cannot read; only its message type
is used.
"""

import hashlib
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from aws_kinesis_agg import DIGEST_SIZE, MAGIC

from cubic_ingestion.domain.batch import Position
from cubic_ingestion.ports import Record

MOST_INFLATED_BYTES = 64 << 20
"""A Kinesis record has up to 10 MiB; what inflates further is a dead letter as it came, and so is each
message in it that is too large for a file."""

_GZIP_MAGIC = b"\x1f\x8b"


class _LogEvent(msgspec.Struct):
    message: str


class _CloudWatch(msgspec.Struct):
    messageType: str  # noqa: N815 - CloudWatch's own name
    logEvents: list[_LogEvent]  # noqa: N815 - CloudWatch's own name


_CLOUDWATCH = msgspec.json.Decoder(_CloudWatch)


def unpack(sequence_number: str, arrived_at: datetime, data: bytes) -> Iterator[Record]:
    """Yield the messages of a Kinesis record; every byte of it is in one of them, or in a record with a problem."""
    number = int(sequence_number)
    if data[:4] != MAGIC and data[:2] != _GZIP_MAGIC:
        yield Record(Position(number), arrived_at, data)
        return
    messages, problem = _messages(data)
    if problem:
        yield Record(Position(number), arrived_at, data, problem)
    elif len(messages) == 1 and data[:2] == _GZIP_MAGIC:
        yield Record(Position(number), arrived_at, messages[0])
    else:
        for sub, message in enumerate(messages):
            yield Record(Position(number, sub), arrived_at, message)


def _messages(data: bytes) -> tuple[list[bytes], str]:
    """Return the messages in a packed record, or what is wrong with it."""
    if data.startswith(MAGIC):
        aggregated = _deaggregated(data)
        return ([data], "") if aggregated is None else (aggregated, "" if aggregated else "an aggregate of nothing")
    try:
        text = _inflated(data)
    except (zlib.error, ValueError) as error:
        return [], f"gzip that cannot be inflated: {error}"
    try:
        sent = _CLOUDWATCH.decode(text)
    except msgspec.DecodeError:
        return [text], ""
    if sent.messageType != "DATA_MESSAGE" or not sent.logEvents:
        return [], f"a {sent.messageType} of CloudWatch Logs without log events"
    return [event.message.encode() for event in sent.logEvents], ""


def _deaggregated(data: bytes) -> list[bytes] | None:
    """Return the messages of an aggregate; None if it is none."""
    body, digest = data[len(MAGIC) : -DIGEST_SIZE], data[-DIGEST_SIZE:]
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        return None
    aggregate, damage = _new_aggregate()
    try:
        aggregate.ParseFromString(body)
    except damage:
        return None
    return [bytes(message.data) for message in aggregate.records]


def _new_aggregate() -> tuple[Any, type[Exception]]:
    """Return an empty aggregate, and what is raised for bytes that are none.

    Imported only where there is an aggregate, and without what the import adds to ``sys.path``.
    """
    path = sys.path.copy()
    from aws_kinesis_agg import deaggregator  # noqa: PLC0415 - protobuf is heavy, and most streams have no aggregates

    sys.path[:] = path
    messages: Any = deaggregator.messages_pb2
    return messages.AggregatedRecord(), deaggregator.google.protobuf.message.DecodeError


def _inflated(data: bytes) -> bytes:
    """Inflate gzip, of one member or several.

    Raises:
        ValueError: It is cut off, or inflates too far.
    """
    parts: list[bytes] = []
    room = MOST_INFLATED_BYTES
    while data:
        inflate = zlib.decompressobj(wbits=31)
        parts.append(inflate.decompress(data, room))
        room -= len(parts[-1])
        if not inflate.eof:
            problem = "it is cut off" if room > 0 else f"it inflates to more than {MOST_INFLATED_BYTES} bytes"
            raise ValueError(problem)
        data = inflate.unused_data
    return b"".join(parts)
