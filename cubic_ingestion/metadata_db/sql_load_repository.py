"""The port ``LoadRepository`` on SQLite and PostgreSQL: one transaction a call."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count

from sqlalchemy import Connection, Engine
from typing_extensions import override

from cubic_ingestion.domain.batch import ShardProgress
from cubic_ingestion.domain.holding import Holding
from cubic_ingestion.domain.incoming import Scan
from cubic_ingestion.domain.load import Arrival, Ingested, Load, LoadError, LoadSchema, Placement
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.metadata_db import (
    acknowledging,
    auditing,
    catalog_changes,
    claiming,
    completing,
    declared_tables,
    holding,
    kafka_batches,
    looking_up,
    observing,
    planning,
    registering,
    scans,
    table_schemas,
)
from cubic_ingestion.metadata_db.engine import SYNC_LOCK, be_alone
from cubic_ingestion.metadata_db.outbox import CATALOG
from cubic_ingestion.metadata_db.sql_dagster_ledger import SqlDagsterLedger
from cubic_ingestion.metadata_db.transactions import RETRY_SECONDS, Transactions
from cubic_ingestion.ports import LoadRepository, OutboxBacklog, OutboxWork, PartitionTotal, Place, StatusCount


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _sync_tables(connection: Connection, tables: Collection[Table], now: datetime) -> None:
    be_alone(connection, SYNC_LOCK)
    changes = declared_tables.table_changes(connection, tables)
    declared_tables.apply_changes(connection, changes, now)


class SqlLoadRepository(SqlDagsterLedger, LoadRepository):
    """The metadata database.

    Args:
        engine: From ``make_engine``.
        now: Tells the time for ``inserted_at`` and ``updated_at``, where a call does not give it.
        retry_seconds: How long a call may try before it fails.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within that time.
    """

    def __init__(
        self, engine: Engine, now: Callable[[], datetime] = _utc_now, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._database = Transactions(engine, retry_seconds)
        self._now = now

    @override
    def sync_tables(self, tables: Collection[Table]) -> None:
        if self._database.read(declared_tables.table_changes, tables):
            self._database.write(_sync_tables, tables, self._now())

    @override
    def register(self, arrivals: Sequence[Arrival]) -> int:
        new = self._database.read(registering.unrecorded, arrivals)
        if not new:
            return 0
        return self._database.write(registering.record, new, self._now())

    @override
    def scans(self) -> Mapping[str, Scan]:
        return self._database.read(scans.scans)

    @override
    def record_scan(self, scan: Scan) -> None:
        self._database.write(scans.record, scan)

    @override
    def unplanned(self, tables: Collection[str], now: datetime, limit: int) -> Sequence[Load]:
        return self._database.read(planning.unplanned, tables, now, limit)

    @override
    def snapshots(self, table: str) -> Sequence[Snapshot]:
        return self._database.read(planning.snapshots, table)

    @override
    def open_snapshot(self, table: str, snapshot: Snapshot) -> bool:
        return self._database.write(planning.open_snapshot, table, snapshot)

    @override
    def placed_since(self, tables: Collection[str], since: datetime, until: datetime | None) -> Iterator[Load]:
        last: Load | None = None
        while True:
            # No transaction stays open between pages: the caller may write while it reads.
            page = self._database.read(planning.placed_page, tables, since, until, last)
            if not page:
                return
            yield from page
            last = page[-1]

    @override
    def place(self, placements: Sequence[Placement]) -> None:
        if placements:
            self._database.write(planning.place, placements, self._now())

    @override
    def wait(self, load_id: int, reason: str, retry_at: datetime, *, attempts: int | None = None) -> None:
        self._database.write(planning.wait, load_id, reason, retry_at, self._now(), attempts)

    @override
    def newest_id(self) -> int:
        return self._database.read(observing.newest_id)

    @override
    def claimable(
        self, tables: Collection[str], work: Work, *, now: datetime, expires_at: datetime, through: int | None = None
    ) -> Mapping[str, int]:
        return self._database.read(claiming.claimable, tables, work, now=now, expires_at=expires_at, through=through)

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
        tries = count()

        def take(connection: Connection) -> Sequence[Load]:
            # A commit whose answer was lost may have been one: then this claimant holds the loads already.
            if next(tries) and (held := claiming.held(connection, claimant, work)):
                return held
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

        return self._database.write(take)

    @override
    def count_tries(self, claimant: str, loads: Collection[Load]) -> None:
        self._database.write(claiming.count_tries, claimant, loads)

    @override
    def renew(self, claimant: str, expires_at: datetime) -> int:
        return self._database.write(claiming.renew, claimant, expires_at)

    @override
    def holds(self, claimant: str, load_id: int) -> bool:
        return self._database.read(claiming.holds, claimant, load_id)

    @override
    def complete_ingest(self, claimant: str, ingested: Sequence[Ingested]) -> Sequence[int]:
        return self._database.write(completing.complete_ingest, claimant, ingested, self._now())

    @override
    def complete_archive(self, claimant: str, archive_keys: Mapping[int, str]) -> Sequence[int]:
        return self._database.write(completing.complete_archive, claimant, archive_keys, self._now())

    @override
    def complete_error(self, claimant: str, error_keys: Mapping[int, str]) -> Sequence[int]:
        return self._database.write(completing.complete_error, claimant, error_keys, self._now())

    @override
    def reject(self, load_id: int, error: LoadError, *, claimant: str | None = None) -> bool:
        return self._database.write(completing.reject, load_id, error, claimant, self._now())

    @override
    def is_at_work(self, claimant_prefix: str, now: datetime) -> bool:
        return self._database.read(claiming.is_at_work, claimant_prefix, now)

    @override
    def release(
        self,
        claimant: str,
        *,
        retry_at: datetime,
        load_ids: Collection[int] | None = None,
        reason: str | None = None,
        is_try: bool = True,
    ) -> int:
        return self._database.write(
            claiming.release, claimant, retry_at, load_ids, self._now(), reason=reason, is_try=is_try
        )

    @override
    def release_runs(self, claimant_prefix: str, *, retry_at: datetime) -> int:
        return self._database.write(claiming.release_prefix, claimant_prefix, retry_at, self._now())

    @override
    def holders(self) -> Sequence[str]:
        return self._database.read(holding.holders)

    @override
    def holdings(self) -> Sequence[Holding]:
        return self._database.read(holding.holdings)

    @override
    def release_holder(self, holder: str, *, retry_at: datetime) -> int:
        return self._database.write(claiming.release_holder, holder, retry_at, self._now())

    @override
    def newest_at(self, locations: Collection[str]) -> Mapping[str, Load]:
        return self._database.read(looking_up.newest_at, locations)

    @override
    def versions(self, key: str) -> Sequence[Load]:
        return self._database.read(looking_up.versions, key)

    @override
    def mark_replay(self, load_ids: Collection[int]) -> None:
        self._database.write(planning.mark_replay, load_ids, self._now())

    @override
    def retry(self, load_ids: Collection[int]) -> Sequence[int]:
        return self._database.write(planning.retry, load_ids, self._now())

    @override
    def acknowledge(self, load_ids: Collection[int], by: str, reason: str) -> Sequence[int]:
        return self._database.write(acknowledging.acknowledge, load_ids, by, reason, self._now())

    @override
    def partition_totals(self, table: str, partition_keys: Collection[str]) -> Mapping[str, PartitionTotal]:
        return self._database.read(looking_up.partition_totals, table, partition_keys)

    @override
    def n_rows(self, table: str) -> int:
        return self._database.read(looking_up.n_rows, table)

    @override
    def locations(self, table: str, partition_keys: Collection[str]) -> Sequence[str]:
        return self._database.read(looking_up.locations, table, partition_keys)

    @override
    def catalog_due(self, tables: Collection[str], *, now: datetime, expires_at: datetime) -> Sequence[str]:
        return self._database.read(CATALOG.due, tables, now, expires_at)

    @override
    def claim_catalog(
        self,
        tables: Collection[str],
        *,
        claimant: str,
        now: datetime,
        expires_at: datetime,
        n_tables: int,
        n_changes: int,
    ) -> Sequence[OutboxWork]:
        return self._database.write(
            CATALOG.claim,
            tables,
            claimant=claimant,
            now=now,
            expires_at=expires_at,
            n_tables=n_tables,
            n_changes=n_changes,
        )

    @override
    def complete_catalog(self, claimant: str, work: OutboxWork) -> bool:
        return self._database.write(CATALOG.complete, claimant, work, self._now())

    @override
    def postpone_catalog(self, claimant: str, work: OutboxWork, due_at: datetime, reason: str) -> bool:
        return self._database.write(CATALOG.postpone, claimant, work, due_at, reason, self._now())

    @override
    def refresh_catalog(self, tables: Collection[str] | None = None) -> int:
        return self._database.write(catalog_changes.refresh, tables, self._now())

    @override
    def catalog_backlog(self) -> Sequence[OutboxBacklog]:
        return self._database.read(CATALOG.backlog)

    @override
    def catalog_pending(self, locations: Collection[str]) -> Collection[str]:
        return self._database.read(catalog_changes.pending, locations)

    @override
    def columns_at(self, locations: Collection[str]) -> Mapping[str, tuple[Column, ...]]:
        return self._database.read(table_schemas.columns_at, locations)

    @override
    def known_schemas(self, table: str) -> Sequence[tuple[Column, ...]]:
        return self._database.read(table_schemas.known_schemas, table)

    @override
    def schema_changes(self, table: str) -> Sequence[tuple[LoadSchema, LoadSchema]]:
        return self._database.read(table_schemas.schema_changes, table)

    @override
    def locations_by_schema(self, table: str) -> Mapping[tuple[Column, ...], Sequence[str]]:
        return self._database.read(table_schemas.locations_by_schema, table)

    @override
    def quarantined(
        self, tables: Collection[str] | None = None, *, after: int = 0, limit: int | None = None
    ) -> Sequence[Load]:
        return self._database.read(looking_up.quarantined, tables, after, limit)

    @override
    def taken_keys(self, keys: Collection[str]) -> Mapping[str, int]:
        return self._database.read(looking_up.taken_keys, keys)

    @override
    def loads_at(self, place: Place, keys: Collection[str]) -> Mapping[str, Sequence[Load]]:
        return self._database.read(auditing.loads_at, place, keys)

    @override
    def loads_after(self, load_id: int, limit: int) -> Sequence[Load]:
        return self._database.read(auditing.loads_after, load_id, limit)

    @override
    def standing_after(self, location: str, limit: int) -> Sequence[Load]:
        return self._database.read(auditing.standing_after, location, limit)

    @override
    def load(self, load_id: int) -> Load | None:
        return self._database.read(looking_up.load, load_id)

    @override
    def loads(
        self,
        *,
        tables: Collection[str] | None = None,
        statuses: Collection[LoadStatus] | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Load]:
        return self._database.read(looking_up.loads, tables, statuses, limit, before)

    @override
    def status_counts(self) -> Sequence[StatusCount]:
        return self._database.read(looking_up.status_counts)

    @override
    def shard_progress(self) -> Sequence[ShardProgress]:
        return self._database.read(kafka_batches.progress)

    @override
    def batch_files(self, keys: Collection[str]) -> Collection[str]:
        return self._database.read(kafka_batches.files, keys)

    @override
    def batch_parts(self, keys: Collection[str]) -> Collection[str]:
        return self._database.read(kafka_batches.part_keys, keys)
