"""The port ``LoadRepository`` on SQLite and PostgreSQL: one transaction a call."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine
from typing_extensions import override

from cubic_ingestion.domain.batch import ShardProgress
from cubic_ingestion.domain.load import Arrival, Ingested, Load, LoadError, LoadSchema, Placement
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.metadata_db import (
    auditing,
    claiming,
    completing,
    declared_tables,
    kafka_batches,
    looking_up,
    planning,
    registering,
    table_schemas,
)
from cubic_ingestion.metadata_db.engine import SYNC_LOCK, be_alone, reading, writing
from cubic_ingestion.ports import LoadRepository, PartitionTotal, Place, StatusCount


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqlLoadRepository(LoadRepository):
    """The metadata database.

    Args:
        engine: From ``make_engine``.
        now: Tells the time for ``inserted_at`` and ``updated_at``, where a call does not give it.

    Every method raises ``DatabaseUnavailableError`` for what may pass.
    """

    def __init__(self, engine: Engine, now: Callable[[], datetime] = _utc_now) -> None:
        self._engine = engine
        self._now = now

    @override
    def sync_tables(self, tables: Collection[Table]) -> None:
        with reading(self._engine) as connection:
            if not declared_tables.table_changes(connection, tables):
                return
        with writing(self._engine) as connection:
            be_alone(connection, SYNC_LOCK)
            changes = declared_tables.table_changes(connection, tables)
            declared_tables.apply_changes(connection, changes, self._now())

    @override
    def register(self, arrivals: Sequence[Arrival]) -> int:
        with reading(self._engine) as connection:
            new = registering.unrecorded(connection, arrivals)
        if not new:
            return 0
        with writing(self._engine) as connection:
            return registering.record(connection, new, self._now())

    @override
    def unplanned(self, tables: Collection[str], now: datetime, limit: int) -> Sequence[Load]:
        with reading(self._engine) as connection:
            return planning.unplanned(connection, tables, now, limit)

    @override
    def snapshots(self, table: str) -> Sequence[Snapshot]:
        with reading(self._engine) as connection:
            return planning.snapshots(connection, table)

    @override
    def open_snapshot(self, table: str, snapshot: Snapshot) -> bool:
        with writing(self._engine) as connection:
            return planning.open_snapshot(connection, table, snapshot)

    @override
    def placed_since(self, tables: Collection[str], since: datetime, until: datetime | None) -> Iterator[Load]:
        last: Load | None = None
        while True:
            # No transaction stays open between pages: the caller may write while it reads.
            with reading(self._engine) as connection:
                page = planning.placed_page(connection, tables, since, until, last)
            if not page:
                return
            yield from page
            last = page[-1]

    @override
    def place(self, placements: Sequence[Placement]) -> None:
        if placements:
            with writing(self._engine) as connection:
                planning.place(connection, placements, self._now())

    @override
    def wait(self, load_id: int, reason: str, retry_at: datetime) -> None:
        with writing(self._engine) as connection:
            planning.wait(connection, load_id, reason, retry_at, self._now())

    @override
    def claimable(self, tables: Collection[str], work: Work, now: datetime) -> Mapping[str, int]:
        with reading(self._engine) as connection:
            return claiming.claimable(connection, tables, work, now)

    @override
    def claim(
        self,
        tables: Collection[str],
        work: Work,
        *,
        claimant: str,
        now: datetime,
        expires_at: datetime,
        limit: int,
        partition_keys: Collection[str] | None = None,
    ) -> Sequence[Load]:
        with writing(self._engine) as connection:
            return claiming.claim(
                connection,
                tables,
                work,
                claimant=claimant,
                now=now,
                expires_at=expires_at,
                limit=limit,
                partition_keys=partition_keys,
            )

    @override
    def renew(self, claimant: str, expires_at: datetime) -> int:
        with writing(self._engine) as connection:
            return claiming.renew(connection, claimant, expires_at)

    @override
    def holds(self, claimant: str, load_id: int) -> bool:
        with reading(self._engine) as connection:
            return claiming.holds(connection, claimant, load_id)

    @override
    def complete_ingest(self, claimant: str, ingested: Sequence[Ingested]) -> Sequence[int]:
        with writing(self._engine) as connection:
            return completing.complete_ingest(connection, claimant, ingested, self._now())

    @override
    def complete_archive(self, claimant: str, archive_keys: Mapping[int, str]) -> Sequence[int]:
        with writing(self._engine) as connection:
            return completing.complete_archive(connection, claimant, archive_keys, self._now())

    @override
    def complete_error(self, claimant: str, error_keys: Mapping[int, str]) -> Sequence[int]:
        with writing(self._engine) as connection:
            return completing.complete_error(connection, claimant, error_keys, self._now())

    @override
    def reject(self, load_id: int, error: LoadError, *, claimant: str | None = None) -> bool:
        with writing(self._engine) as connection:
            return completing.reject(connection, load_id, error, claimant, self._now())

    @override
    def is_at_work(self, claimant_prefix: str, now: datetime) -> bool:
        with reading(self._engine) as connection:
            return claiming.is_at_work(connection, claimant_prefix, now)

    @override
    def release(self, claimant: str, *, retry_at: datetime, load_ids: Collection[int] | None = None) -> int:
        with writing(self._engine) as connection:
            return claiming.release(connection, claimant, retry_at, load_ids, self._now())

    @override
    def release_runs(self, claimant_prefix: str, *, retry_at: datetime) -> int:
        with writing(self._engine) as connection:
            return claiming.release_prefix(connection, claimant_prefix, retry_at, self._now())

    @override
    def newest_at(self, locations: Collection[str]) -> Mapping[str, Load]:
        with reading(self._engine) as connection:
            return looking_up.newest_at(connection, locations)

    @override
    def versions(self, key: str) -> Sequence[Load]:
        with reading(self._engine) as connection:
            return looking_up.versions(connection, key)

    @override
    def mark_replay(self, load_ids: Collection[int]) -> None:
        with writing(self._engine) as connection:
            planning.mark_replay(connection, load_ids, self._now())

    @override
    def retry(self, load_ids: Collection[int]) -> Sequence[int]:
        with writing(self._engine) as connection:
            return planning.retry(connection, load_ids, self._now())

    @override
    def partition_totals(self, table: str, partition_keys: Collection[str]) -> Mapping[str, PartitionTotal]:
        with reading(self._engine) as connection:
            return looking_up.partition_totals(connection, table, partition_keys)

    @override
    def n_rows(self, table: str) -> int:
        with reading(self._engine) as connection:
            return looking_up.n_rows(connection, table)

    @override
    def locations(self, table: str, partition_keys: Collection[str]) -> Sequence[str]:
        with reading(self._engine) as connection:
            return looking_up.locations(connection, table, partition_keys)

    @override
    def postpone_catalog(self, tables: Collection[str], due_at: datetime | None) -> None:
        with writing(self._engine) as connection:
            declared_tables.postpone_catalog(connection, tables, due_at)

    @override
    def catalog_due(self, tables: Collection[str], now: datetime) -> Mapping[str, str]:
        with reading(self._engine) as connection:
            return looking_up.catalog_due(connection, tables, now)

    @override
    def known_schemas(self, table: str) -> Sequence[tuple[Column, ...]]:
        with reading(self._engine) as connection:
            return table_schemas.known_schemas(connection, table)

    @override
    def schema_changes(self, table: str) -> Sequence[tuple[LoadSchema, LoadSchema]]:
        with reading(self._engine) as connection:
            return list(table_schemas.schema_changes(connection, table))

    @override
    def locations_by_schema(self, table: str) -> Mapping[tuple[Column, ...], Sequence[str]]:
        with reading(self._engine) as connection:
            return table_schemas.locations_by_schema(connection, table)

    @override
    def quarantined(self, tables: Collection[str] | None = None) -> Sequence[Load]:
        with reading(self._engine) as connection:
            return looking_up.quarantined(connection, tables)

    @override
    def taken_keys(self, keys: Collection[str]) -> Mapping[str, int]:
        with reading(self._engine) as connection:
            return looking_up.taken_keys(connection, keys)

    @override
    def loads_at(self, place: Place, keys: Collection[str]) -> Mapping[str, Sequence[Load]]:
        with reading(self._engine) as connection:
            return auditing.loads_at(connection, place, keys)

    @override
    def loads_after(self, load_id: int, limit: int) -> Sequence[Load]:
        with reading(self._engine) as connection:
            return auditing.loads_after(connection, load_id, limit)

    @override
    def load(self, load_id: int) -> Load | None:
        with reading(self._engine) as connection:
            return looking_up.load(connection, load_id)

    @override
    def loads(
        self, *, tables: Collection[str] | None = None, statuses: Collection[LoadStatus] | None = None, limit: int = 100
    ) -> Sequence[Load]:
        with reading(self._engine) as connection:
            return looking_up.loads(connection, tables, statuses, limit)

    @override
    def status_counts(self) -> Sequence[StatusCount]:
        with reading(self._engine) as connection:
            return looking_up.status_counts(connection)

    @override
    def shard_progress(self) -> Sequence[ShardProgress]:
        with reading(self._engine) as connection:
            return kafka_batches.progress(connection)

    @override
    def batch_files(self, keys: Collection[str]) -> Collection[str]:
        with reading(self._engine) as connection:
            return kafka_batches.files(connection, keys)
