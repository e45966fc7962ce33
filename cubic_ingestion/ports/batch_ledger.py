"""The metadata database, as the Kafka batcher sees it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from cubic_ingestion.domain.batch import Advance, Batch, ShardLease, ShardState


class BatchLedger(Protocol):
    """Leases on shards, checkpoints, and batches that are not written yet.

    What changes a shard's state is refused with ``ShardLeaseLostError`` if another has taken the lease meanwhile.
    """

    def leases(self, stream: str) -> Mapping[str, ShardLease]:
        """Return the shards that are on record, by id."""
        ...

    def lease(self, stream: str, shard: str, owner: str, *, now: datetime, expires_at: datetime) -> ShardState | None:
        """Take a shard that nobody holds, or whose lease has expired; None if another holds it.

        A lease that ends more than a minute after ``expires_at`` was taken by a clock that is ahead. It counts as
        expired.
        """
        ...

    def renew(self, stream: str, owner: str, expires_at: datetime) -> Collection[str]:
        """Put off the end of an owner's leases; returns the shards it still holds."""
        ...

    def release(self, stream: str, shard: str, owner: str) -> None:
        """Give a shard back, if the owner holds it."""
        ...

    def ask_for(self, stream: str, shard: str, asker: str) -> None:
        """Ask whoever holds a shard to give it back."""
        ...

    def cut(self, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime) -> None:
        """Put on record where batches end, before their files are written, so that a replay cuts them there too."""
        ...

    def advance(
        self,
        stream: str,
        shard: str,
        owner: str,
        advance: Advance,
        *,
        written: Sequence[Batch],
        still_open: Sequence[Batch],
        now: datetime,
    ) -> None:
        """Move a shard's checkpoint, in one transaction with what became of the records up to it.

        Args:
            stream: Name of the Kinesis stream.
            shard: Id of the shard.
            owner: Who holds its lease.
            advance: How far it was read.
            written: Batches whose files stand under their keys.
            still_open: Batches that are open, with all their parts.
            now: The present moment.
        """
        ...

    def forget_parts(self, keys: Collection[str]) -> None:
        """Take parts off the record whose objects are gone."""
        ...
