"""What Dagster shows of partitions, as the metadata database knows it: changes yet to be reported, and their truth."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Column
from cubic_ingestion.ports.outbox import OutboxBacklog, OutboxWork

WHOLE_TABLE = ""
"""Stands among changed partitions for the table as a whole."""


@dataclass(frozen=True, slots=True)
class StandingFile:
    """A file of a partition in Springboard."""

    location: str
    load_id: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class SomeLoads:
    """Loads of one kind: how many there are, and the newest of them."""

    n_loads: int = 0
    loads: Sequence[Load] = ()

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return self.n_loads > 0


@dataclass(frozen=True, slots=True)
class OpenState:
    """What of a table waits for a person. Nothing here has been acknowledged."""

    rejected: SomeLoads = SomeLoads()
    """In Error, or on the way there."""
    failed_replays: SomeLoads = SomeLoads()
    """Archived loads that could not be read again; their earlier rows stand."""
    quarantined: SomeLoads = SomeLoads()
    """Loads with records in quarantine."""
    waiting: SomeLoads = SomeLoads()
    """Loads that lack nothing but a run, and have waited for too long."""

    def __bool__(self) -> bool:
        """Say whether anything waits."""
        return any((self.rejected, self.failed_replays, self.quarantined, self.waiting))


class DagsterLedger(Protocol):
    """Partitions that Dagster has yet to show as they are.

    Whatever changes the rows of a partition, or which of its loads are rejected, records the partition in the same
    transaction. So no partition is forgotten, whenever a process ends.
    """

    def dagster_due(
        self,
        tables: Collection[str],
        *,
        now: datetime,
        expires_at: datetime,
        recorded_before: datetime | None = None,
    ) -> Sequence[str]:
        """Return the tables with changes that ``claim_dagster`` with these moments would get.

        Args:
            tables: Names of tables.
            now: The present moment.
            expires_at: When a claim that is taken now ends.
            recorded_before: Only tables with a change that was recorded before this moment, or that concerns the table
                as a whole; all if None.
        """
        ...

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
        """Lease some tables, and return their oldest changes; one claimant holds a table at a time.

        Args:
            tables: Names of tables.
            claimant: Who takes them; begins with a run's id.
            now: The present moment.
            expires_at: From then on somebody else may take the tables.
            n_tables: Maximum number of tables.
            n_changes: Maximum number of changes of each.
            partition_keys: Only changes of these partitions; all if None.
        """
        ...

    def complete_dagster(self, claimant: str, work: OutboxWork) -> bool:
        """Forget changes that Dagster shows now, and give the table back.

        Returns:
            False if the lease was lost. Then the changes are recorded once more.
        """
        ...

    def postpone_dagster(self, claimant: str, work: OutboxWork, due_at: datetime, reason: str) -> bool:
        """Give a table back that could not be reported, to be tried again at ``due_at``.

        Returns:
            False if the lease was lost; then as ``complete_dagster``.
        """
        ...

    def dagster_backlog(self) -> Sequence[OutboxBacklog]:
        """Return what Dagster does not show yet, by table."""
        ...

    def dagster_pending(self, table: str, partition_keys: Collection[str]) -> Mapping[str, datetime]:
        """Return those of some partitions that Dagster does not show yet, with the oldest change of each."""
        ...

    def newest_files(self, table: str, partition_keys: Collection[str], limit: int) -> Mapping[str, list[StandingFile]]:
        """Return the newest files in Springboard of some partitions, at most so many of each, newest first."""
        ...

    def rejected_in(self, table: str, partition_keys: Collection[str]) -> Sequence[Load]:
        """Return the loads of some partitions that are in Error or on the way there, newest first."""
        ...

    def partitions_with_loads(self, table: str, partition_keys: Collection[str]) -> Collection[str]:
        """Return those of some partitions that any load belongs to, whatever became of it."""
        ...

    def partitions_with_rows(self, table: str, after: str, limit: int) -> Sequence[str]:
        """Return the next partitions with rows in Springboard, in the database's own order of keys."""
        ...

    def open_state(self, table: str, waiting_since: datetime, limit: int) -> OpenState:
        """Return what of a table waits for a person.

        Args:
            table: The table.
            waiting_since: A load that lacks nothing and was on its way before then has waited for too long.
            limit: Maximum number of loads of each kind.
        """
        ...
