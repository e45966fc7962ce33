"""Shards of Kinesis streams: leases and checkpoints.

What changes a shard's state is refused to whom it is not leased.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cubic_ingestion.domain.batch import Advance, Batch, ShardLease, ShardState
from cubic_ingestion.errors import ShardLeaseLostError
from cubic_ingestion.metadata_db import kafka_batches
from cubic_ingestion.metadata_db.holding import is_over
from cubic_ingestion.metadata_db.models import (
    CubicKafkaBatch,
    CubicKafkaBatchPart,
    CubicKafkaCheckpoint,
    CubicKafkaShard,
)
from cubic_ingestion.metadata_db.rows import in_pages


def leases(connection: Connection, stream: str) -> Mapping[str, ShardLease]:
    """Select who holds which shard."""
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


def lease(
    connection: Connection, stream: str, shard: str, owner: str, now: datetime, expires_at: datetime
) -> ShardState | None:
    """Take a shard, if it is free; it is put on record if it is not."""
    add = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"stream": stream, "shard": shard, "behind_milliseconds": 0}
    connection.execute(add(CubicKafkaShard).values(row).on_conflict_do_nothing())
    is_free = or_(
        CubicKafkaShard.leased_by.is_(None),
        CubicKafkaShard.leased_by == owner,
        is_over(CubicKafkaShard.lease_expires_at, now, expires_at),
    )
    taken = connection.execute(
        update(CubicKafkaShard)
        .where(_is(stream, shard), is_free)
        .values(leased_by=owner, lease_expires_at=expires_at, wanted_by=None)
    )
    return kafka_batches.state(connection, stream, shard) if taken.rowcount else None


def renew(connection: Connection, stream: str, owner: str, expires_at: datetime) -> Collection[str]:
    """Put off the end of an owner's leases."""
    mine = (CubicKafkaShard.stream == stream, CubicKafkaShard.leased_by == owner)
    statement = update(CubicKafkaShard).where(*mine).values(lease_expires_at=expires_at)
    return set(connection.execute(statement.returning(CubicKafkaShard.shard)).scalars())


def release(connection: Connection, stream: str, shard: str, owner: str) -> None:
    """Give a shard back."""
    connection.execute(
        update(CubicKafkaShard)
        .where(_is(stream, shard), CubicKafkaShard.leased_by == owner)
        .values(leased_by=None, lease_expires_at=None, wanted_by=None)
    )


def ask_for(connection: Connection, stream: str, shard: str, asker: str) -> None:
    """Note who asks for a shard."""
    connection.execute(update(CubicKafkaShard).where(_is(stream, shard)).values(wanted_by=asker))


def cut(connection: Connection, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime) -> None:
    """Put on record where batches end."""
    _hold(connection, stream, shard, owner)
    for batch in batches:
        kafka_batches.put(connection, stream, shard, batch, cut_at=now)


def advance(
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
    """Move the checkpoint, with what became of the records up to it."""
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


def forget_parts(connection: Connection, keys: Collection[str]) -> None:
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
