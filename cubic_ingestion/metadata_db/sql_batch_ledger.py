"""The port ``BatchLedger`` on SQLite and PostgreSQL: one transaction a call."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Engine
from typing_extensions import override

from cubic_ingestion.domain.batch import Advance, Batch, ShardLease, ShardState
from cubic_ingestion.metadata_db import kafka_shards
from cubic_ingestion.metadata_db.transactions import RETRY_SECONDS, Transactions
from cubic_ingestion.ports import BatchLedger


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
        return self._database.read(kafka_shards.leases, stream)

    @override
    def lease(self, stream: str, shard: str, owner: str, *, now: datetime, expires_at: datetime) -> ShardState | None:
        return self._database.write(kafka_shards.lease, stream, shard, owner, now, expires_at)

    @override
    def renew(self, stream: str, owner: str, expires_at: datetime) -> Collection[str]:
        return self._database.write(kafka_shards.renew, stream, owner, expires_at)

    @override
    def release(self, stream: str, shard: str, owner: str) -> None:
        self._database.write(kafka_shards.release, stream, shard, owner)

    @override
    def ask_for(self, stream: str, shard: str, asker: str) -> None:
        self._database.write(kafka_shards.ask_for, stream, shard, asker)

    @override
    def cut(self, stream: str, shard: str, owner: str, batches: Sequence[Batch], now: datetime) -> None:
        self._database.write(kafka_shards.cut, stream, shard, owner, batches, now)

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
        self._database.write(
            kafka_shards.advance, stream, shard, owner, advance, written=written, still_open=still_open, now=now
        )

    @override
    def forget_parts(self, keys: Collection[str]) -> None:
        if keys:
            self._database.write(kafka_shards.forget_parts, keys)
