"""The port ``DagsterLedger`` on SQLite and PostgreSQL: one transaction per call."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from typing_extensions import override

from cubic_ingestion.domain.load import Load
from cubic_ingestion.metadata_db import acknowledging, dagster_changes
from cubic_ingestion.metadata_db.outbox import DAGSTER
from cubic_ingestion.metadata_db.transactions import Transactions
from cubic_ingestion.ports import DagsterLedger, OpenState, OutboxBacklog, OutboxWork, StandingFile


class SqlDagsterLedger(DagsterLedger):
    """The part of the metadata database that Dagster's events are made of.

    Every method raises ``DatabaseUnavailableError`` if the database does not answer in time.
    """

    _database: Transactions
    _now: Callable[[], datetime]

    @override
    def dagster_due(
        self,
        tables: Collection[str],
        *,
        now: datetime,
        expires_at: datetime,
        recorded_before: datetime | None = None,
    ) -> Sequence[str]:
        return self._database.read(DAGSTER.due, tables, now, expires_at, recorded_before)

    @override
    def claim_dagster(
        self,
        tables: Collection[str],
        *,
        claimant: str,
        now: datetime,
        expires_at: datetime,
        n_tables: int,
        n_changes: int,
        partition_keys: Collection[str] | None = None,
    ) -> Sequence[OutboxWork]:
        return self._database.write(
            DAGSTER.claim,
            tables,
            claimant=claimant,
            now=now,
            expires_at=expires_at,
            n_tables=n_tables,
            n_changes=n_changes,
            subjects=partition_keys,
        )

    @override
    def complete_dagster(self, claimant: str, work: OutboxWork) -> bool:
        return self._database.write(DAGSTER.complete, claimant, work, self._now())

    @override
    def postpone_dagster(self, claimant: str, work: OutboxWork, due_at: datetime, reason: str) -> bool:
        return self._database.write(DAGSTER.postpone, claimant, work, due_at, reason, self._now())

    @override
    def dagster_backlog(self) -> Sequence[OutboxBacklog]:
        return self._database.read(DAGSTER.backlog)

    @override
    def dagster_pending(self, table: str, partition_keys: Collection[str]) -> Mapping[str, datetime]:
        return self._database.read(dagster_changes.pending, table, partition_keys)

    @override
    def newest_files(self, table: str, partition_keys: Collection[str], limit: int) -> Mapping[str, list[StandingFile]]:
        return self._database.read(dagster_changes.newest_files, table, partition_keys, limit)

    @override
    def rejected_in(self, table: str, partition_keys: Collection[str]) -> Sequence[Load]:
        return self._database.read(dagster_changes.rejected_in, table, partition_keys)

    @override
    def partitions_with_loads(self, table: str, partition_keys: Collection[str]) -> Collection[str]:
        return self._database.read(dagster_changes.partitions_with_loads, table, partition_keys)

    @override
    def partitions_with_rows(self, table: str, after: str, limit: int) -> Sequence[str]:
        return self._database.read(dagster_changes.partitions_with_rows, table, after, limit)

    @override
    def open_state(self, table: str, waiting_since: datetime, limit: int) -> OpenState:
        return self._database.read(acknowledging.open_state, table, waiting_since, limit)
