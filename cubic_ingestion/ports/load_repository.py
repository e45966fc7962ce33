"""The metadata database, as the pipeline sees it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cubic_ingestion.domain.batch import ShardProgress
from cubic_ingestion.domain.holding import Holding
from cubic_ingestion.domain.load import Arrival, Ingested, Load, LoadError, LoadSchema, Placement
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.ports.catalog_ledger import CatalogLedger
from cubic_ingestion.ports.dagster_ledger import DagsterLedger
from cubic_ingestion.ports.scan_ledger import ScanLedger


@dataclass(frozen=True, slots=True)
class StatusCount:
    """Loads of one table in one status."""

    table: str
    status: LoadStatus
    n_loads: int
    n_rows: int
    n_quarantined: int
    """Records in quarantine."""
    oldest_inserted_at: datetime
    newest_updated_at: datetime


@dataclass(frozen=True, slots=True)
class PartitionTotal:
    """What one partition of a table holds in Springboard."""

    n_loads: int
    n_rows: int
    n_bytes: int
    n_quarantined: int
    """Records in quarantine."""
    first_source_at: datetime
    last_source_at: datetime


class Place(StrEnum):
    """Where a load says that something of it stands; the value is the column that says so."""

    INCOMING = "s3_key"
    ARCHIVE = "archive_key"
    ERROR = "error_key"
    SPRINGBOARD = "location"


class LoadRepository(CatalogLedger, DagsterLedger, ScanLedger, Protocol):
    """The metadata database. Every change of status is an atomic compare-and-set."""

    def sync_tables(self, tables: Collection[Table]) -> None:
        """Record the declared tables; one no longer declared gets ``deleted_at``, and keeps its loads."""
        ...

    def register(self, arrivals: Sequence[Arrival]) -> int:
        """Record the object versions not on record yet, in one transaction.

        Returns:
            The number of loads that are new.
        """
        ...

    def unplanned(self, tables: Collection[str], now: datetime, limit: int) -> Sequence[Load]:
        """Return ready loads without a partition whose ``retry_at`` has passed, oldest first."""
        ...

    def snapshots(self, table: str) -> Sequence[Snapshot]:
        """Return the table's snapshots, oldest first."""
        ...

    def open_snapshot(self, table: str, snapshot: Snapshot) -> bool:
        """Record a snapshot; False if the table has it already."""
        ...

    def placed_since(self, tables: Collection[str], since: datetime, until: datetime | None) -> Iterator[Load]:
        """Yield planned loads with ``since <= source_at < until``, not those in or on the way to Error."""
        ...

    def place(self, placements: Sequence[Placement]) -> None:
        """Give loads their partition and snapshot.

        A ready load is then claimable. One further on keeps its status; if its snapshot changes, it is marked for
        replay, which moves it to its new place.
        """
        ...

    def wait(self, load_id: int, reason: str, retry_at: datetime, *, attempts: int | None = None) -> None:
        """Leave a ready load unplanned, with the reason, until ``retry_at``.

        Args:
            load_id: The load.
            reason: What it waits for, or what went wrong, in words for people.
            retry_at: When to look at it again.
            attempts: The number of its tries, if this was one.
        """
        ...

    def newest_id(self) -> int:
        """Return the id of the load registered last; 0 if there is none."""
        ...

    def claimable(
        self, tables: Collection[str], work: Work, *, now: datetime, expires_at: datetime, through: int | None = None
    ) -> Mapping[str, int]:
        """Count the loads that ``claim`` with these moments would get, by table; tables with none are left out.

        Args:
            tables: Names of tables.
            work: What for.
            now: The present moment.
            expires_at: When a claim that is taken now ends.
            through: Only loads with an id up to this one; all if None.
        """
        ...

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
        """Take loads for work, atomically: those waiting for it, and those whose claim on it has expired.

        A claim that ends more than a minute after ``expires_at`` was taken by a clock that is ahead, and counts as
        expired: otherwise it would hold its loads until that clock's time.

        For ``Work.REPLAY`` without ``partition_keys`` only loads marked for replay count; with them, every archived
        load of those partitions.

        Returns:
            The loads now held, ordered by source time, then LastModified, then id. No try is counted yet.
        """
        ...

    def count_tries(self, claimant: str, loads: Collection[Load]) -> None:
        """Count one more try at each of some held loads. Called when work on them begins, so that a kill counts too.

        Args:
            claimant: Who holds them.
            loads: The loads, with their ``attempts`` so far. Calling this again with the same loads changes nothing.
        """
        ...

    def renew(self, claimant: str, expires_at: datetime) -> int:
        """Extend all claims of a claimant; returns how many it still holds."""
        ...

    def holds(self, claimant: str, load_id: int) -> bool:
        """Say whether a claimant still holds a load: the fence before anything is published."""
        ...

    def complete_ingest(self, claimant: str, ingested: Sequence[Ingested]) -> Sequence[int]:
        """Move held loads on to ``ready_for_archiving`` (replays stay archived) with their counts.

        A load takes its location from the load that had it before, whose rows it replaced.

        Returns:
            Ids of the loads that were no longer held and stay untouched.
        """
        ...

    def complete_archive(self, claimant: str, archive_keys: Mapping[int, str]) -> Sequence[int]:
        """Move held loads (id to key in Archive) on to ``archived``; returns the ids no longer held."""
        ...

    def complete_error(self, claimant: str, error_keys: Mapping[int, str]) -> Sequence[int]:
        """Move held loads (id to key in Error) on to ``errored``; returns the ids no longer held.

        An empty key says that the original stays in Incoming.
        """
        ...

    def reject(self, load_id: int, error: LoadError, *, claimant: str | None = None) -> bool:
        """Move a load to ``ready_for_erroring``: a held one by its claimant, a ready one without.

        A replayed load stays archived and keeps its rows; only the reason is recorded. Returns False if it was lost.
        """
        ...

    def is_at_work(self, claimant_prefix: str, now: datetime) -> bool:
        """Say whether a claimant with this prefix (a run's id) holds something under a claim that has not expired."""
        ...

    def release(
        self,
        claimant: str,
        *,
        retry_at: datetime,
        load_ids: Collection[int] | None = None,
        reason: str | None = None,
        is_try: bool = True,
    ) -> int:
        """Give held loads back to the status they were claimed from.

        Args:
            claimant: Who holds them.
            retry_at: They are not claimed before.
            load_ids: Only these; all that the claimant holds if None.
            reason: Why, in words for people; it stands in ``waits_for`` until they are claimed again.
            is_try: False takes back the try that was counted: what went wrong has nothing to do with these loads.

        Returns:
            How many loads were given back.
        """
        ...

    def release_runs(self, claimant_prefix: str, *, retry_at: datetime) -> int:
        """Give back whatever claimants with this prefix (a run's id) hold, tables on their way to the catalog too.

        Returns:
            How many loads they held.
        """
        ...

    def holders(self) -> Sequence[str]:
        """Return everybody who holds loads, a table on its way to the catalog, a feed or a shard."""
        ...

    def holdings(self) -> Sequence[Holding]:
        """Return everything that somebody holds, expired or not; loads are counted by table and holder."""
        ...

    def release_holder(self, holder: str, *, retry_at: datetime) -> int:
        """Give back all that one holder has, of whatever kind; returns how many loads it held."""
        ...

    def newest_at(self, locations: Collection[str]) -> Mapping[str, Load]:
        """Return, by Springboard key, the load whose rows stand there."""
        ...

    def versions(self, key: str) -> Sequence[Load]:
        """Return all loads of one key in Incoming, in the order they were registered."""
        ...

    def mark_replay(self, load_ids: Collection[int]) -> None:
        """Have loads read again once they are archived."""
        ...

    def retry(self, load_ids: Collection[int]) -> Sequence[int]:
        """Bring errored loads back to ``ready``, unplanned, in one transaction; their ``error_key`` stays.

        Returns:
            Ids of the loads brought back; the others were not errored, or have no ``error_key``.
        """
        ...

    def acknowledge(self, load_ids: Collection[int], by: str, reason: str) -> Sequence[int]:
        """Record that somebody knows of rejected loads, or of records in quarantine, and why nobody needs to act.

        Another rejection, or another try, clears it. Until then it stays: a second one does not replace it.

        Returns:
            Ids of the loads acknowledged; the others have neither an error nor records in quarantine, or were
            acknowledged before.
        """
        ...

    def partition_totals(self, table: str, partition_keys: Collection[str]) -> Mapping[str, PartitionTotal]:
        """Sum up, by partition, what stands in Springboard."""
        ...

    def n_rows(self, table: str) -> int:
        """Sum up the rows of a table that stand in Springboard."""
        ...

    def locations(self, table: str, partition_keys: Collection[str]) -> Sequence[str]:
        """Return the Springboard keys of the loads of some partitions, oldest first."""
        ...

    def known_schemas(self, table: str) -> Sequence[tuple[Column, ...]]:
        """Return the schemas that the files of a table have had, in the order in which they first came."""
        ...

    def schema_changes(self, table: str) -> Sequence[tuple[LoadSchema, LoadSchema]]:
        """Return each load whose schema differs from that of the load registered before it, after that one."""
        ...

    def locations_by_schema(self, table: str) -> Mapping[tuple[Column, ...], Sequence[str]]:
        """Return the Springboard keys of a table's loads, by the columns of their files."""
        ...

    def quarantined(
        self, tables: Collection[str] | None = None, *, after: int = 0, limit: int | None = None
    ) -> Sequence[Load]:
        """Return the loads with records in quarantine and an id greater than ``after``, oldest first."""
        ...

    def taken_keys(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return, by key in Archive or Error, the id of the load that is filed there."""
        ...

    def loads_at(self, place: Place, keys: Collection[str]) -> Mapping[str, Sequence[Load]]:
        """Return, by key, all loads that are on record there, oldest first; keys without one are left out."""
        ...

    def loads_after(self, load_id: int, limit: int) -> Sequence[Load]:
        """Return the next loads by id; going on after the last one reads all there are, page by page."""
        ...

    def standing_after(self, location: str, limit: int) -> Sequence[Load]:
        """Return the next loads with rows in Springboard, by the place of the rows, in the database's own order.

        Going on after the last one reads all there are, page by page. The loads of one table follow each other, as far
        as the database orders texts by their beginning.
        """
        ...

    def load(self, load_id: int) -> Load | None:
        """Return one load."""
        ...

    def loads(
        self,
        *,
        tables: Collection[str] | None = None,
        statuses: Collection[LoadStatus] | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Load]:
        """Return loads, newest first; only those with an id less than ``before``, if it is given."""
        ...

    def status_counts(self) -> Sequence[StatusCount]:
        """Count loads by table and status."""
        ...

    def shard_progress(self) -> Sequence[ShardProgress]:
        """Return how far the Kafka batcher is with each shard, and its open batches."""
        ...

    def batch_files(self, keys: Collection[str]) -> Collection[str]:
        """Return those of some keys that are files of the Kafka batcher, written or about to be."""
        ...

    def batch_parts(self, keys: Collection[str]) -> Collection[str]:
        """Return those of some keys that are on record as parts of batches of the Kafka batcher."""
        ...
