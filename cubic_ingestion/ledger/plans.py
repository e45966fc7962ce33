"""Plans: which loads have no partition yet, which snapshots there are, and where each load belongs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, delete, literal, select, tuple_, update

from cubic_ingestion.domain.changes import ChangeKind
from cubic_ingestion.domain.load import Load, Placement
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import TO_ERROR, LoadStatus
from cubic_ingestion.domain.steps import StepKind
from cubic_ingestion.errors import UnrecordedTableError
from cubic_ingestion.ledger.changes import Change, record
from cubic_ingestion.ledger.columns import UtcDateTime
from cubic_ingestion.ledger.leases import is_due, moments
from cubic_ingestion.ledger.models import CubicLoad, CubicLoadOdsSnapshot, CubicTable, CubicTableOdsSnapshot
from cubic_ingestion.ledger.rows import IS_IN_PAGE, in_pages, select_loads, to_load
from cubic_ingestion.ledger.steps import record_steps
from cubic_ingestion.ledger.transactions import Part, reads, records, writes
from cubic_ingestion.ledger.transitions import MAX_REASON_CHARACTERS
from cubic_ingestion.ledger.upserts import upsert

# Made once, like all that is asked in every pass.
_UNPLANNED = (
    select_loads()
    .where(
        CubicTable.name.in_(bindparam("tables", expanding=True)),
        CubicTable.is_active,
        CubicTable.deleted_at.is_(None),
        CubicLoad.status == LoadStatus.READY.value,
        CubicLoad.partition_key.is_(None),
        CubicLoad.deleted_at.is_(None),
        is_due(CubicLoad.retry_at),
    )
    .order_by(CubicLoad.s3_modified, CubicLoad.id)
    .limit(bindparam("limit", type_=Integer))
)
_LOCKED = (
    select(
        *(CubicLoad.id, CubicLoad.table_id, CubicLoad.status, CubicLoad.source_at, CubicLoad.partition_key),
        *(CubicLoad.retry_at, CubicLoad.is_replay_due, CubicLoad.sidecar_etag, CubicLoadOdsSnapshot.snapshot),
    )
    .outerjoin(CubicLoadOdsSnapshot, CubicLoadOdsSnapshot.load_id == CubicLoad.id)
    .where(IS_IN_PAGE, CubicLoad.status.not_in(TO_ERROR))
    .order_by(CubicLoad.id)
    .with_for_update(of=CubicLoad)
)


class Plans(Part):
    """Where loads belong.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def unplanned(self, connection: Connection, tables: Collection[str], now: datetime, limit: int) -> list[Load]:
        """Select ready loads without a partition, of active tables, whose time to be looked at has come."""
        parameters = {"tables": list(tables), "limit": limit, **moments(now)}
        return [to_load(row) for row in connection.execute(_UNPLANNED, parameters)]

    @reads
    def snapshots(self, connection: Connection, table: str) -> list[Snapshot]:
        """Return the table's snapshots, oldest first."""
        statement = (
            select(CubicTableOdsSnapshot.snapshot, CubicTableOdsSnapshot.snapshot_s3_key)
            .join(CubicTable, CubicTable.id == CubicTableOdsSnapshot.table_id)
            .where(CubicTable.name == table, CubicTableOdsSnapshot.snapshot.is_not(None))
            .order_by(CubicTableOdsSnapshot.snapshot)
        )
        return [Snapshot(row.snapshot, row.snapshot_s3_key or "") for row in connection.execute(statement)]

    @writes
    def open_snapshot(self, connection: Connection, table: str, snapshot: Snapshot) -> bool:
        """Insert a snapshot unless the table has it.

        Raises:
            UnrecordedTableError: The table is not in ``cubic_tables``.
        """
        table_id = connection.execute(select(CubicTable.id).where(CubicTable.name == table)).scalar()
        if table_id is None:
            raise UnrecordedTableError(table)
        statement = (
            upsert(connection, CubicTableOdsSnapshot).on_conflict_do_nothing().returning(CubicTableOdsSnapshot.id)
        )
        values = {"table_id": table_id, "snapshot": snapshot.started_at, "snapshot_s3_key": snapshot.key}
        return connection.execute(statement.values(**values)).first() is not None

    @records
    def wait(
        self,
        connection: Connection,
        now: datetime,
        load_id: int,
        reason: str,
        retry_at: datetime,
        *,
        attempts: int | None = None,
    ) -> None:
        """Leave a ready load unplanned, with the reason, until ``retry_at``.

        Args:
            load_id: The load.
            reason: What it waits for, or what went wrong, in words for people.
            retry_at: When to look at it again.
            attempts: The number of its tries, if this was one.
        """
        values: dict[str, Any] = {"waits_for": reason[:MAX_REASON_CHARACTERS], "retry_at": retry_at, "updated_at": now}
        connection.execute(
            update(CubicLoad)
            .where(
                CubicLoad.id == load_id, CubicLoad.status == LoadStatus.READY.value, CubicLoad.partition_key.is_(None)
            )
            .values(values if attempts is None else values | {"attempts": attempts})
        )

    def placed_since(self, tables: Collection[str], since: datetime, until: datetime | None) -> Iterator[Load]:
        """Yield planned loads with ``since <= source_at < until``, not those in or on the way to Error."""
        last: Load | None = None
        while True:
            # No transaction stays open between pages: the caller may write while it reads.
            page = self._placed_page(tables, since, until, last)
            if not page:
                return
            yield from page
            last = page[-1]

    @reads
    def _placed_page(
        self,
        connection: Connection,
        tables: Collection[str],
        since: datetime,
        until: datetime | None,
        after: Load | None,
    ) -> list[Load]:
        """Select the next page of planned loads of a stretch of source time, in order of source time, then id."""
        statement = select_loads().where(
            CubicTable.name.in_(tables),
            CubicLoad.source_at >= since,
            CubicLoad.partition_key.is_not(None),
            CubicLoad.status.not_in(TO_ERROR),
        )
        if until is not None:
            statement = statement.where(CubicLoad.source_at < until)
        if after is not None:
            statement = statement.where(
                tuple_(CubicLoad.source_at, CubicLoad.id)
                > tuple_(literal(after.source_at, UtcDateTime), literal(after.id))
            )
        ordered = statement.order_by(CubicLoad.source_at, CubicLoad.id).limit(1_000)
        return [to_load(row) for row in connection.execute(ordered)]

    def place(self, placements: Sequence[Placement]) -> None:
        """Give loads their partition and snapshot.

        A ready load is then claimable. One further on keeps its status; if its snapshot changes, it is marked for
        replay, which moves it to its new place.
        """
        if placements:
            self._place(placements)

    @records
    def _place(self, connection: Connection, now: datetime, placements: Collection[Placement]) -> None:
        """Write where loads belong, and mark those for replay that are past ``ready`` and change their snapshot."""
        current = _lock(connection, [placement.load_id for placement in placements])
        changed = [placement for placement in placements if _differs(current.get(placement.load_id), placement)]
        if not changed:
            return
        names = ("source_at", "partition_key", "sidecar_etag", "retry_at", "is_replay_due")
        statement = (
            update(CubicLoad)
            .where(CubicLoad.id == bindparam("load_id"))
            .values({name: bindparam(f"new_{name}") for name in names})
            .values(waits_for=None, updated_at=now)
        )
        connection.execute(statement, [_placed(current[placement.load_id], placement) for placement in changed])
        _write_snapshots(connection, changed)
        record(connection, _left_and_entered(current, changed), now)
        record_steps(connection, [placement.load_id for placement in changed], StepKind.PLANNED, now)


def _lock(connection: Connection, load_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Lock and return the loads that may still be placed."""
    current: dict[int, Row[Any]] = {}
    for page in in_pages(load_ids):
        current |= {row.id: row for row in connection.execute(_LOCKED, {"page": page})}
    return current


def _differs(row: Row[Any] | None, placement: Placement) -> bool:
    wanted = (placement.source_at, placement.partition_key, placement.snapshot)
    return row is not None and (row.source_at, row.partition_key, row.snapshot) != wanted


def _left_and_entered(current: Mapping[int, Row[Any]], placements: Collection[Placement]) -> list[Change]:
    """Return the partitions that loads with rows left and entered."""
    return [
        Change(current[placement.load_id].table_id, placement.load_id, ChangeKind.MARKED, partition_key)
        for placement in placements
        if current[placement.load_id].status != LoadStatus.READY
        for partition_key in (current[placement.load_id].partition_key or "", placement.partition_key)
    ]


def _placed(row: Row[Any], placement: Placement) -> Mapping[str, Any]:
    has_moved = row.status != LoadStatus.READY and row.snapshot != placement.snapshot
    return {
        "load_id": placement.load_id,
        "new_source_at": placement.source_at,
        "new_partition_key": placement.partition_key,
        # Only planning reads a sidecar; a load that is moved later keeps the version that it was planned with.
        "new_sidecar_etag": placement.sidecar_etag if row.partition_key is None else row.sidecar_etag,
        # Until it is planned, retry_at says when to look again; from then on, when to try again.
        "new_retry_at": None if row.partition_key is None else row.retry_at,
        "new_is_replay_due": row.is_replay_due or has_moved,
    }


def _write_snapshots(connection: Connection, placements: Collection[Placement]) -> None:
    without = [placement.load_id for placement in placements if placement.snapshot is None]
    for page in in_pages(without):
        connection.execute(delete(CubicLoadOdsSnapshot).where(CubicLoadOdsSnapshot.load_id.in_(page)))
    rows = [{"load_id": each.load_id, "snapshot": each.snapshot} for each in placements if each.snapshot is not None]
    if rows:
        statement = upsert(connection, CubicLoadOdsSnapshot)
        replacement = {"snapshot": statement.excluded.snapshot}
        connection.execute(statement.on_conflict_do_update(index_elements=["load_id"], set_=replacement), rows)
