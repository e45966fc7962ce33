"""A Kinesis stream, as the Kafka batcher sees it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from cubic_ingestion.domain.batch import Position


class Record(NamedTuple):
    """One message, taken out of whatever it was packed in."""

    position: Position
    arrived_at: datetime
    """When Kinesis took it, UTC."""
    data: bytes
    problem: str = ""
    """Why it could not be unpacked, in words; ``data`` is then what Kinesis had."""


class Shard(NamedTuple):
    """One shard of the stream."""

    id: str
    parent_ids: Sequence[str] = ()
    """Shards that were split or merged into it; their records precede its own."""


class Page(NamedTuple):
    """What one read of a shard gave."""

    records: Sequence[Record]
    last_sequence_number: str | None
    """Of the last Kinesis record read; None if there was none."""
    behind_milliseconds: int
    """How far this read was behind the newest record."""
    is_end: bool = False
    """The shard was closed, and this was the last of it."""


class ShardReader(Protocol):
    """Reads one shard, page by page."""

    def read(self) -> Page:
        """Return what follows what was read before.

        Raises:
            StreamUnavailableError: Kinesis refused or dropped the request.
        """
        ...


class RecordSource(Protocol):
    """A Kinesis stream."""

    @property
    def stream(self) -> str:
        """Its name."""
        ...

    def shards(self) -> Sequence[Shard]:
        """Return all shards that still have records, closed ones too.

        Raises:
            StreamUnavailableError: Kinesis refused or dropped the request.
            SettingsError: There is no such stream, or it may not be read.
        """
        ...

    def reader(self, shard: str, after: str | None) -> ShardReader:
        """Read a shard from behind a sequence number; from its oldest record if there is none."""
        ...
