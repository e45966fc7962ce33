"""Batches of the Kafka batcher: rows of a shard's open batches, and which objects are batches and parts."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from cubic_ingestion.domain.batch import Batch, Position, ShardState
from cubic_ingestion.domain.batch import Part as BatchPart
from cubic_ingestion.ledger.models import (
    CubicKafkaBatch,
    CubicKafkaBatchPart,
    CubicKafkaCheckpoint,
)
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transactions import Part, reads


class Batches(Part):
    """Looks up the files of the Kafka batcher.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def files(self, connection: Connection, keys: Collection[str]) -> set[str]:
        """Return those of some keys that are files of the Kafka batcher, written or about to be."""
        found: set[str] = set()
        for page in in_pages(keys):
            statement = select(CubicKafkaBatch.s3_key).where(CubicKafkaBatch.s3_key.in_(page))
            found.update(key for key in connection.execute(statement).scalars() if key is not None)
        return found

    @reads
    def part_keys(self, connection: Connection, keys: Collection[str]) -> set[str]:
        """Return those of some keys that are on record as parts of batches of the Kafka batcher."""
        found: set[str] = set()
        for page in in_pages(keys):
            statement = select(CubicKafkaBatchPart.s3_key).where(CubicKafkaBatchPart.s3_key.in_(page))
            found.update(connection.execute(statement).scalars())
        return found


def state(connection: Connection, stream: str, shard: str) -> ShardState:
    """Select what whoever holds a shard goes on from."""
    checkpoint = connection.execute(
        select(CubicKafkaCheckpoint.sequence_number).where(
            CubicKafkaCheckpoint.stream == stream, CubicKafkaCheckpoint.shard == shard
        )
    ).scalar()
    of_shard = (CubicKafkaBatch.stream == stream, CubicKafkaBatch.shard == shard)
    unwritten = select(CubicKafkaBatch.__table__).where(*of_shard, CubicKafkaBatch.written_at.is_(None))
    parts = _parts(connection, stream, shard)
    batches = [
        Batch(
            row.table_name,
            Position.parse(row.first_sequence_number),
            Position.parse(row.last_sequence_number),
            row.n_records,
            row.n_bytes,
            row.opened_at,
            row.s3_key,
            tuple(parts.pop(row.id, ())),
        )
        for row in connection.execute(unwritten)
    ]
    spent = [part.key for of_batch in parts.values() for part in of_batch]
    return ShardState(checkpoint, tuple(sorted(batches, key=lambda batch: batch.first)), tuple(spent))


def put(connection: Connection, stream: str, shard: str, batch: Batch, cut_at: datetime | None = None) -> int:
    """Insert a batch, or set where it ends by now; returns its id."""
    values = {
        "last_sequence_number": str(batch.last),
        "n_records": batch.n_records,
        "n_bytes": batch.n_bytes,
        "s3_key": batch.key,
        "cut_at": cut_at,
    }
    statement = update(CubicKafkaBatch).where(_is(stream, shard, batch)).values(values)
    known = connection.execute(statement.returning(CubicKafkaBatch.id)).scalar()
    if known is not None:
        return known
    identity = {"stream": stream, "shard": shard, "table_name": batch.table, "first_sequence_number": str(batch.first)}
    row = identity | values | {"opened_at": batch.opened_at}
    return connection.execute(insert(CubicKafkaBatch).values(row).returning(CubicKafkaBatch.id)).scalar_one()


def put_open(connection: Connection, stream: str, shard: str, batch: Batch) -> None:
    """Put an open batch on record with its parts; where one ends that was cut stays as it is."""
    if batch.key is None:
        _put_parts(connection, put(connection, stream, shard, batch), batch.parts)
    else:
        statement = select(CubicKafkaBatch.id).where(_is(stream, shard, batch))
        _put_parts(connection, connection.execute(statement).scalar_one(), batch.parts)


def mark_written(connection: Connection, stream: str, shard: str, batch: Batch, now: datetime) -> None:
    """Put on record that a batch's file stands under its key."""
    values = {"written_at": now, "n_records": batch.n_records, "n_bytes": batch.n_bytes}
    connection.execute(update(CubicKafkaBatch).where(_is(stream, shard, batch)).values(values))


def _put_parts(connection: Connection, batch_id: int, parts: Sequence[BatchPart]) -> None:
    """Insert those parts of a batch that are not on record."""
    statement = select(CubicKafkaBatchPart.s3_key).where(CubicKafkaBatchPart.batch_id == batch_id)
    known = set(connection.execute(statement).scalars())
    rows = [
        {
            "batch_id": batch_id,
            "s3_key": part.key,
            "last_sequence_number": str(part.last),
            "n_records": part.n_records,
            "n_bytes": part.n_bytes,
        }
        for part in parts
        if part.key not in known
    ]
    if rows:
        connection.execute(insert(CubicKafkaBatchPart), rows)


def _parts(connection: Connection, stream: str, shard: str) -> dict[int, list[BatchPart]]:
    found: dict[int, list[BatchPart]] = {}
    statement = (
        select(CubicKafkaBatchPart.__table__)
        .join(CubicKafkaBatch, CubicKafkaBatch.id == CubicKafkaBatchPart.batch_id)
        .where(CubicKafkaBatch.stream == stream, CubicKafkaBatch.shard == shard)
        .order_by(CubicKafkaBatchPart.id)
    )
    for row in connection.execute(statement):
        part = BatchPart(row.s3_key, Position.parse(row.last_sequence_number), row.n_records, row.n_bytes)
        found.setdefault(row.batch_id, []).append(part)
    return found


def _is(stream: str, shard: str, batch: Batch) -> ColumnElement[bool]:
    return and_(
        CubicKafkaBatch.stream == stream,
        CubicKafkaBatch.shard == shard,
        CubicKafkaBatch.table_name == batch.table,
        CubicKafkaBatch.first_sequence_number == str(batch.first),
    )
