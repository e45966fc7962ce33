"""The port ``BatchLedger`` on SQLite and PostgreSQL: one transaction a call."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from typing_extensions import override

from cubic_ingestion.domain.batch import Advance, Batch, ShardLease, ShardState
from cubic_ingestion.errors import ShardLeaseLostError
from cubic_ingestion.metadata_db import kafka_batches
from cubic_ingestion.metadata_db.models import CubicKafkaBatchPart, CubicKafkaCheckpoint, CubicKafkaShard
from cubic_ingestion.metadata_db.rows import in_pages
from cubic_ingestion.metadata_db.transactions import RETRY_SECONDS, Transactions
from cubic_ingestion.ports import BatchLedger

_NOBODY = {"leased_by": None, "lease_expires_at": None, "wanted_by": None}


class SqlBatchLedger(BatchLedger):
    """What the Kafka batcher keeps in the metadata database.

    Args:
        engine: From ``make_engine``.
        retry_seconds: How long a call may try before it fails.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within that time.
    """

    def __init__(self, engine: Engine, *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._database = Transactions(engine, retry_seconds)

    @override
    def leases(self, stream: str) -> Mapping[str, ShardLease]:
        return self._database.read(_leases, stream)

    @override
    def lease(self, stream: str, shard: str, owner: str, *, now: datetime, expires_at: datetime) -> ShardState | None:
        return self._database.write(_lease, stream, shard, owner, now, expires_at)

    @override
    def renew(self, stream: str, owner: str, expires_at: datetime) -> Collection[str]:
        return self._database.write(_renew, stream, owner, expires_at)

    @override
    def release(self, stream: str, shard: str, owner: str) -> None:
        self._database.write(_release, stream, shard, owner)

    @override
    def ask_for(self, stream: str, shard: str, asker: str) -> None:
        self._database.write(_ask_for, stream, shard, asker)

    @override
    def cut(self, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime) -> None:
        self._database.write(_cut, stream, shard, owner, batches, now)

    @override
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
        def move(connection: Connection) -> None:
            _hold(connection, stream, shard, owner)
            for batch in written:
                kafka_batches.mark_written(connection, stream, shard, batch, now)
            for batch in still_open:
                kafka_batches.put_open(connection, stream, shard, batch)
            _advance(connection, stream, shard, advance, now)

        self._database.write(move)

    @override
    def forget_parts(self, keys: Collection[str]) -> None:
        if keys:
            self._database.write(_forget_parts, keys)


def _leases(connection: Connection, stream: str) -> dict[str, ShardLease]:
    rows = connection.execute(select(CubicKafkaShard.__table__).where(CubicKafkaShard.stream == stream))
    return {
        row.shard: ShardLease(row.shard, row.leased_by, row.lease_expires_at, row.wanted_by, row.ended_at is not None)
        for row in rows
    }


def _lease(
    connection: Connection, stream: str, shard: str, owner: str, now: datetime, expires_at: datetime
) -> ShardState | None:
    add = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"stream": stream, "shard": shard, "behind_milliseconds": 0}
    connection.execute(add(CubicKafkaShard).values(row).on_conflict_do_nothing())
    free = or_(
        CubicKafkaShard.leased_by.is_(None),
        CubicKafkaShard.leased_by == owner,
        CubicKafkaShard.lease_expires_at <= now,
    )
    taken = connection.execute(
        update(CubicKafkaShard)
        .where(_is(stream, shard), free)
        .values(leased_by=owner, lease_expires_at=expires_at, wanted_by=None)
    )
    return kafka_batches.state(connection, stream, shard) if taken.rowcount else None


def _renew(connection: Connection, stream: str, owner: str, expires_at: datetime) -> set[str]:
    mine = (CubicKafkaShard.stream == stream, CubicKafkaShard.leased_by == owner)
    statement = update(CubicKafkaShard).where(*mine).values(lease_expires_at=expires_at)
    return set(connection.execute(statement.returning(CubicKafkaShard.shard)).scalars())


def _release(connection: Connection, stream: str, shard: str, owner: str) -> None:
    held = (_is(stream, shard), CubicKafkaShard.leased_by == owner)
    connection.execute(update(CubicKafkaShard).where(*held).values(_NOBODY))


def _ask_for(connection: Connection, stream: str, shard: str, asker: str) -> None:
    connection.execute(update(CubicKafkaShard).where(_is(stream, shard)).values(wanted_by=asker))


def _cut(connection: Connection, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime) -> None:
    _hold(connection, stream, shard, owner)
    for batch in batches:
        kafka_batches.put(connection, stream, shard, batch, cut_at=now)


def _advance(connection: Connection, stream: str, shard: str, advance: Advance, now: datetime) -> None:
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


def _forget_parts(connection: Connection, keys: Collection[str]) -> None:
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
