"""The port ``BatchLedger`` on SQLite and PostgreSQL: one transaction a call."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from typing_extensions import override

from cubic_ingestion.domain.batch import Advance, Batch, ShardLease, ShardState
from cubic_ingestion.errors import ShardLeaseLostError
from cubic_ingestion.metadata_db import kafka_batches
from cubic_ingestion.metadata_db.engine import reading, writing
from cubic_ingestion.metadata_db.models import CubicKafkaBatchPart, CubicKafkaCheckpoint, CubicKafkaShard
from cubic_ingestion.ports import BatchLedger

_NOBODY = {"leased_by": None, "lease_expires_at": None, "wanted_by": None}


class SqlBatchLedger(BatchLedger):
    """What the Kafka batcher keeps in the metadata database.

    Args:
        engine: From ``make_engine``.

    Every method raises ``DatabaseUnavailableError`` for what may pass.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    def leases(self, stream: str) -> Mapping[str, ShardLease]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(CubicKafkaShard.__table__).where(CubicKafkaShard.stream == stream))
            return {
                row.shard: ShardLease(
                    row.shard, row.leased_by, row.lease_expires_at, row.wanted_by, row.ended_at is not None
                )
                for row in rows
            }

    @override
    def lease(self, stream: str, shard: str, owner: str, *, now: datetime, expires_at: datetime) -> ShardState | None:
        with writing(self._engine) as connection:
            _know(connection, stream, shard)
            free = or_(
                CubicKafkaShard.leased_by.is_(None),
                CubicKafkaShard.leased_by == owner,
                CubicKafkaShard.lease_expires_at <= now,
            )
            taken = connection.execute(
                update(CubicKafkaShard)
                .where(CubicKafkaShard.stream == stream, CubicKafkaShard.shard == shard, free)
                .values(leased_by=owner, lease_expires_at=expires_at, wanted_by=None)
            )
            return kafka_batches.state(connection, stream, shard) if taken.rowcount else None

    @override
    def renew(self, stream: str, owner: str, expires_at: datetime) -> Collection[str]:
        mine = (CubicKafkaShard.stream == stream, CubicKafkaShard.leased_by == owner)
        with writing(self._engine) as connection:
            statement = update(CubicKafkaShard).where(*mine).values(lease_expires_at=expires_at)
            return set(connection.execute(statement.returning(CubicKafkaShard.shard)).scalars())

    @override
    def release(self, stream: str, shard: str, owner: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(
                update(CubicKafkaShard)
                .where(
                    CubicKafkaShard.stream == stream,
                    CubicKafkaShard.shard == shard,
                    CubicKafkaShard.leased_by == owner,
                )
                .values(_NOBODY)
            )

    @override
    def ask_for(self, stream: str, shard: str, asker: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(
                update(CubicKafkaShard)
                .where(CubicKafkaShard.stream == stream, CubicKafkaShard.shard == shard)
                .values(wanted_by=asker)
            )

    @override
    def cut(self, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime) -> None:
        with writing(self._engine) as connection:
            _hold(connection, stream, shard, owner)
            for batch in batches:
                kafka_batches.put(connection, stream, shard, batch, cut_at=now)

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
        with writing(self._engine) as connection:
            _hold(connection, stream, shard, owner)
            for batch in written:
                kafka_batches.mark_written(connection, stream, shard, batch, now)
            for batch in still_open:
                kafka_batches.put_open(connection, stream, shard, batch)
            if advance.checkpoint is not None:
                _checkpoint(connection, stream, shard, advance.checkpoint)
            connection.execute(
                update(CubicKafkaShard)
                .where(CubicKafkaShard.stream == stream, CubicKafkaShard.shard == shard)
                .values(
                    arrived_at=func.coalesce(advance.arrived_at, CubicKafkaShard.arrived_at),
                    behind_milliseconds=advance.behind_milliseconds,
                    read_at=now,
                    ended_at=now if advance.is_ended else None,
                )
            )

    @override
    def forget_parts(self, keys: Collection[str]) -> None:
        if keys:
            with writing(self._engine) as connection:
                connection.execute(delete(CubicKafkaBatchPart).where(CubicKafkaBatchPart.s3_key.in_(keys)))


def _know(connection: Connection, stream: str, shard: str) -> None:
    add = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"stream": stream, "shard": shard, "behind_milliseconds": 0}
    connection.execute(add(CubicKafkaShard).values(row).on_conflict_do_nothing())


def _hold(connection: Connection, stream: str, shard: str, owner: str) -> None:
    """Lock a shard's row to the end of the transaction, if the owner still has it.

    Raises:
        ShardLeaseLostError: Another has.
    """
    statement = select(CubicKafkaShard.leased_by).where(
        CubicKafkaShard.stream == stream, CubicKafkaShard.shard == shard
    )
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
