"""The port ``RecordSource`` on Kinesis, by boto3: credentials, region, endpoint are found as AWS's tools find them."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from cubic_ingestion.errors import SettingsError, StreamUnavailableError
from cubic_ingestion.fetchers.kinesis_records import unpack
from cubic_ingestion.ports import Page, Record, Shard

PAGE_RECORDS = 10_000
"""Kinesis gives no more in one read, nor more than 10 MiB."""

_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10, read_timeout=30)
"""botocore waits and tries again when it is throttled: five reads a second, and 2 MB, are a shard's limit."""
_NOT_ALLOWED = frozenset({"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"})
_EXPIRED = "ExpiredIteratorException"


class KinesisRecordSource:
    """A Kinesis stream.

    Args:
        stream: Its name.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._closed: frozenset[str] = frozenset()

    @property
    def stream(self) -> str:
        """Its name."""
        return self._stream

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """The connection; made on first use.

        Raises:
            SettingsError: No region is set.
        """
        try:
            return boto3.client("kinesis", config=_RETRIES)
        except NoRegionError as error:
            raise SettingsError("AWS_DEFAULT_REGION", "It is not set.", "Name the Kinesis stream's region.") from error

    def shards(self) -> Sequence[Shard]:
        """Return all shards that still have records, closed ones too."""
        found: list[Any] = []
        with translated(self._stream):
            for page in self.client.get_paginator("list_shards").paginate(StreamName=self._stream):
                found += page["Shards"]
        self._closed = frozenset(
            shard["ShardId"] for shard in found if "EndingSequenceNumber" in shard["SequenceNumberRange"]
        )
        return [Shard(shard["ShardId"], _parents(shard)) for shard in found]

    def is_closed(self, shard: str) -> bool:
        """Say whether a shard had been split or merged when the shards were last listed."""
        return shard in self._closed

    def reader(self, shard: str, after: str | None) -> "KinesisShardReader":
        """Read a shard from behind a sequence number; from its oldest record if there is none."""
        return KinesisShardReader(self, shard, after)


class KinesisShardReader:
    """Reads one shard; an iterator that expired is replaced by one behind what was read last."""

    def __init__(self, source: KinesisRecordSource, shard: str, after: str | None) -> None:
        self._source = source
        self._shard = shard
        self._after = after
        self._iterator: str | None = None

    def read(self) -> Page:
        """Return what follows what was read before."""
        with translated(self._source.stream):
            answer = self._answer()
        records: list[Record] = []
        for record in answer["Records"]:
            arrived_at = record["ApproximateArrivalTimestamp"]
            records += unpack(record["SequenceNumber"], arrived_at, record["Data"])
        last = answer["Records"][-1]["SequenceNumber"] if answer["Records"] else None
        behind = answer.get("MillisBehindLatest", 0)
        self._after = last or self._after
        self._iterator = answer.get("NextShardIterator")
        # Kinesis gives no next iterator at the end. Where a closed shard has nothing more, that is its end, too.
        is_drained = self._source.is_closed(self._shard) and not records and not behind
        return Page(records, last, behind, self._iterator is None or is_drained)

    def _answer(self) -> Any:  # noqa: ANN401 - as boto3 has it
        client = self._source.client
        try:
            return client.get_records(ShardIterator=self._iterator or self._new_iterator(), Limit=PAGE_RECORDS)
        except ClientError as error:
            if error.response["Error"]["Code"] != _EXPIRED:
                raise
            return client.get_records(ShardIterator=self._new_iterator(), Limit=PAGE_RECORDS)

    def _new_iterator(self) -> str:
        start = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._after}
            if self._after
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        answer = self._source.client.get_shard_iterator(StreamName=self._source.stream, ShardId=self._shard, **start)
        return answer["ShardIterator"]


@contextmanager
def translated(stream: str) -> Generator[None]:
    """Turn what boto3 raises into the platform's errors.

    Raises:
        StreamUnavailableError: It may pass.
        SettingsError: It does not: no such Kinesis stream, or no right to read it.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ResourceNotFoundException":
            fix = "Correct the name, or the region."
            raise SettingsError("CUBIC_KINESIS_STREAM", f"There is no Kinesis stream {stream!r}.", fix) from error
        if code in _NOT_ALLOWED:
            problem = f"Kinesis stream {stream!r} may not be read ({code})."
            fix = "Allow kinesis:ListShards, GetShardIterator and GetRecords."
            raise SettingsError("CUBIC_KINESIS_STREAM", problem, fix) from error
        if code == "InvalidArgumentException":
            problem = f"Kinesis stream {stream!r} does not know the checkpoint; was it made anew under the same name?"
            fix = "Use a new name, or delete its rows in cubic_kafka_checkpoints, _shards, _batches and _batch_parts."
            raise SettingsError("CUBIC_KINESIS_STREAM", problem, fix) from error
        raise StreamUnavailableError(stream, code) from error
    except BotoCoreError as error:
        raise StreamUnavailableError(stream, type(error).__name__) from error


def _parents(shard: Any) -> tuple[str, ...]:  # noqa: ANN401 - as boto3 has it
    return tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name))
