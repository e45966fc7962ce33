"""Shards of Kinesis streams: leases and checkpoints.

What changes a shard's state is refused with ``ShardLeaseLostError`` if another has taken its lease.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, select, update

from cubic_ingestion.domain.batch import Advance, Batch, ShardLease, ShardProgress, ShardState
from cubic_ingestion.errors import ShardLeaseLostError
from cubic_ingestion.ledger import batches as kafka_batches
from cubic_ingestion.ledger import leases
from cubic_ingestion.ledger.models import (
    CubicKafkaBatch,
    CubicKafkaBatchPart,
    CubicKafkaCheckpoint,
    CubicKafkaShard,
)
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transactions import Part, reads, writes
from cubic_ingestion.ledger.upserts import upsert


class Shards(Part):
    """What the Kafka batcher keeps: leases on shards, checkpoints, and batches that are not written yet.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def leases(self, connection: Connection, stream: str) -> Mapping[str, ShardLease]:
        """Return the shards that are on record, by id."""
        has_parts = (
            exists()
            .where(CubicKafkaBatchPart.batch_id == CubicKafkaBatch.id)
            .where(CubicKafkaBatch.stream == CubicKafkaShard.stream, CubicKafkaBatch.shard == CubicKafkaShard.shard)
        )
        is_ended = and_(CubicKafkaShard.ended_at.is_not(None), ~has_parts).label("is_ended")
        statement = select(*CubicKafkaShard.__table__.columns, is_ended).where(CubicKafkaShard.stream == stream)
        return {
            row.shard: ShardLease(row.shard, row.leased_by, row.lease_expires_at, row.wanted_by, bool(row.is_ended))
            for row in connection.execute(statement)
        }

    @writes
    def lease(
        self, connection: Connection, stream: str, shard: str, owner: str, *, now: datetime, expires_at: datetime
    ) -> ShardState | None:
        """Take a shard that nobody holds, or whose lease has expired; None if another holds it.

        A lease that ends more than a minute after ``expires_at`` was taken by a clock that is ahead. It counts as
        expired.
        """
        row = {"stream": stream, "shard": shard, "behind_milliseconds": 0}
        connection.execute(upsert(connection, CubicKafkaShard).values(row).on_conflict_do_nothing())
        statement = (
            update(CubicKafkaShard)
            .where(_is(stream, shard), leases.SHARDS.is_free_for(owner))
            .values({**leases.SHARDS.taken(owner, expires_at), "wanted_by": None})
        )
        taken = connection.execute(statement, leases.moments(now, expires_at))
        return kafka_batches.state(connection, stream, shard) if taken.rowcount else None

    @writes
    def renew(self, connection: Connection, stream: str, owner: str, expires_at: datetime) -> Collection[str]:
        """Put off the end of an owner's leases; returns the shards it still holds."""
        mine = (CubicKafkaShard.stream == stream, CubicKafkaShard.leased_by == owner)
        statement = update(CubicKafkaShard).where(*mine).values(lease_expires_at=expires_at)
        return set(connection.execute(statement.returning(CubicKafkaShard.shard)).scalars())

    @writes
    def release(self, connection: Connection, stream: str, shard: str, owner: str) -> None:
        """Give a shard back, if the owner holds it."""
        connection.execute(
            update(CubicKafkaShard)
            .where(_is(stream, shard), CubicKafkaShard.leased_by == owner)
            .values({**leases.SHARDS.given_back(), "wanted_by": None})
        )

    @writes
    def ask_for(self, connection: Connection, stream: str, shard: str, asker: str) -> None:
        """Ask whoever holds a shard to give it back."""
        connection.execute(update(CubicKafkaShard).where(_is(stream, shard)).values(wanted_by=asker))

    @writes
    def cut(
        self, connection: Connection, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime
    ) -> None:
        """Put on record where batches end, before their files are written, so that a replay cuts them there too."""
        _hold(connection, stream, shard, owner)
        for batch in batches:
            kafka_batches.put(connection, stream, shard, batch, cut_at=now)

    @writes
    def advance(
        self,
        connection: Connection,
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
        _hold(connection, stream, shard, owner)
        for batch in written:
            kafka_batches.mark_written(connection, stream, shard, batch, now)
        for batch in still_open:
            kafka_batches.put_open(connection, stream, shard, batch)
        if advance.checkpoint is not None:
            _checkpoint(connection, stream, shard, advance.checkpoint)
        connection.execute(
            update(CubicKafkaShard)
            .where(_is(stream, shard))
            .values(
                arrived_at=func.coalesce(advance.arrived_at, CubicKafkaShard.arrived_at),
                behind_milliseconds=advance.behind_milliseconds,
                read_at=now,
                ended_at=now if advance.is_ended else None,
            )
        )

    @reads
    def progress(self, connection: Connection) -> list[ShardProgress]:
        """Return how far the Kafka batcher is with each shard of the streams it reads."""
        of_shard = and_(
            CubicKafkaBatch.stream == CubicKafkaShard.stream,
            CubicKafkaBatch.shard == CubicKafkaShard.shard,
            CubicKafkaBatch.written_at.is_(None),
        )
        of_checkpoint = and_(
            CubicKafkaCheckpoint.stream == CubicKafkaShard.stream, CubicKafkaCheckpoint.shard == CubicKafkaShard.shard
        )
        open_batches = (
            func.count(CubicKafkaBatch.id),
            func.coalesce(func.sum(CubicKafkaBatch.n_records), 0),
            func.min(CubicKafkaBatch.opened_at),
        )
        columns = CubicKafkaShard.__table__.columns
        statement = (
            select(*columns, CubicKafkaCheckpoint.sequence_number, *open_batches)
            .outerjoin(CubicKafkaCheckpoint, of_checkpoint)
            .outerjoin(CubicKafkaBatch, of_shard)
            .group_by(*columns, CubicKafkaCheckpoint.sequence_number)
            .order_by(CubicKafkaShard.stream, CubicKafkaShard.shard)
        )
        return [
            ShardProgress(
                row.stream,
                row.shard,
                row.sequence_number,
                row.arrived_at,
                row.behind_milliseconds,
                row.read_at,
                row.leased_by,
                row.ended_at is not None,
                row[-3],
                int(row[-2]),
                row[-1],
            )
            for row in connection.execute(statement)
        ]

    def forget_parts(self, keys: Collection[str]) -> None:
        """Take parts off the record whose objects are gone."""
        if keys:
            self._forget_parts(keys)

    @writes
    def _forget_parts(self, connection: Connection, keys: Collection[str]) -> None:
        """Delete parts."""
        for page in in_pages(keys):
            connection.execute(delete(CubicKafkaBatchPart).where(CubicKafkaBatchPart.s3_key.in_(page)))


def _hold(connection: Connection, stream: str, shard: str, owner: str) -> None:
    """Lock a shard's row to the end of the transaction, if the owner still has it.

    Raises:
        ShardLeaseLostError: Another has.
    """
    statement = select(CubicKafkaShard.leased_by).where(_is(stream, shard))
    if connection.execute(statement.with_for_update()).scalar() != owner:
        raise ShardLeaseLostError(shard)


def _checkpoint(connection: Connection, stream: str, shard: str, sequence_number: str) -> None:
    moved = connection.execute(
        update(CubicKafkaCheckpoint)
        .where(CubicKafkaCheckpoint.stream == stream, CubicKafkaCheckpoint.shard == shard)
        .values(sequence_number=sequence_number)
    )
    if not moved.rowcount:
        row = {"stream": stream, "shard": shard, "sequence_number": sequence_number}
        connection.execute(insert(CubicKafkaCheckpoint).values(row))


def _is(stream: str, shard: str) -> ColumnElement[bool]:
    return and_(CubicKafkaShard.stream == stream, CubicKafkaShard.shard == shard)
