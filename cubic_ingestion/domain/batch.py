"""Batches of the Kafka batcher: runs of one table's records in one shard, each of which becomes a file in Incoming.

A batch is open while records join it, cut when it is on record where it ends, and written when its file stands under
its key. Sequence numbers have up to 56 digits and are compared as numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

SHARD_COLUMN, SEQUENCE_COLUMN = "kinesis_shard_id", "kinesis_sequence_number"
"""Columns of every Kafka table that say where a record stood, so that exact repeats can be told downstream."""

DEAD_LETTERS = "dead_letter"
"""Stands for a table where records go that no table takes."""

OPEN_PREFIX = "cubic/kafka_open/"
"""Where in Incoming the records of open batches are kept; no stream scans there."""
DEAD_LETTER_PREFIX = "cubic/kafka_dead_letter/"
"""Where in Error the files of dead letters stand."""

MAX_RECORD_BYTES = 12 << 20
"""Size of a record as it stands in its file. Kinesis takes records of 10 MiB, which may be gzip of more; and whoever
reads a file holds a whole record in memory several times."""

_WHOLE = -1


class Position(NamedTuple):
    """Where a record stands in its shard."""

    sequence_number: int
    sub: int = _WHOLE
    """Number within a Kinesis record that carries several, counted from 0."""

    def __str__(self) -> str:
        """Return ``<sequence number>``, or ``<sequence number>:<number within it>``."""
        return str(self.sequence_number) if self.sub == _WHOLE else f"{self.sequence_number}:{self.sub}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what ``str`` wrote.

        >>> Position.parse("49:2")
        Position(sequence_number=49, sub=2)
        """
        sequence_number, _, sub = text.partition(":")
        return cls(int(sequence_number), int(sub) if sub else _WHOLE)


@dataclass(frozen=True, slots=True)
class Part:
    """An object that keeps some records of an open batch."""

    key: str
    last: Position
    n_records: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is on record."""

    table: str
    """Name of the table, or ``DEAD_LETTERS``."""
    first: Position
    last: Position
    n_records: int
    n_bytes: int
    """Size of its file."""
    opened_at: datetime
    """When its first record arrived in the Kinesis stream."""
    key: str | None = None
    """Key of its file, in Incoming or, for dead letters, in Error; None while it is open."""
    parts: Sequence[Part] = ()


@dataclass(frozen=True, slots=True)
class ShardState:
    """What whoever holds a shard's lease goes on from.

    Every record up to ``checkpoint`` is in a written batch or in the parts of one that is not written yet.
    """

    checkpoint: str | None
    """Sequence number of the last Kinesis record taken; None before the first."""
    batches: Sequence[Batch] = ()
    """Batches that are not written, cut or open, in the order of their first records."""
    spent_keys: Sequence[str] = ()
    """Keys of parts whose batches are written, and that may still lie there."""


@dataclass(frozen=True, slots=True)
class ShardLease:
    """Who reads a shard."""

    shard: str
    owner: str | None
    expires_at: datetime | None
    wanted_by: str | None
    """Another batcher that has none and asks for it."""
    is_ended: bool
    """All its records are in written batches, no more can come, and no part is left to remove."""


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a shard was read."""

    checkpoint: str | None
    arrived_at: datetime | None
    """When the newest record that was read arrived in the Kinesis stream."""
    behind_milliseconds: int
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """A shard, as people look at it."""

    stream: str
    shard: str
    checkpoint: str | None
    arrived_at: datetime | None
    behind_milliseconds: int
    """How far the last read was behind the newest record, by Kinesis's own word."""
    read_at: datetime | None
    """When it was last read and put on record."""
    owner: str | None
    is_ended: bool
    n_open_batches: int
    n_open_records: int
    oldest_open_at: datetime | None
    """When the first record of its oldest open batch arrived."""
