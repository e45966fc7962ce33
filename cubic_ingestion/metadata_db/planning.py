"""What planning reads and writes: loads without a partition, snapshots, and where each load belongs."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, literal, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from cubic_ingestion.domain.load import OBJECT_FROZEN, Load, Placement
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import UnrecordedTableError
from cubic_ingestion.metadata_db.changes import MAX_REASON_CHARACTERS, TO_ERROR, UNCLAIMED, explained, moved
from cubic_ingestion.metadata_db.columns import UtcDateTime
from cubic_ingestion.metadata_db.holding import is_due
from cubic_ingestion.metadata_db.models import CubicLoad, CubicLoadOdsSnapshot, CubicTable, CubicTableOdsSnapshot
from cubic_ingestion.metadata_db.outbox import DAGSTER
from cubic_ingestion.metadata_db.rows import in_pages, select_loads, to_load

_UNPLANNED: Mapping[str, Any] = {
    **dict.fromkeys(("source_at", "partition_key", "sidecar_etag", "waits_for", "retry_at")),
    **dict.fromkeys(("location", "n_rows", "n_bytes", "n_quarantined", "schema_id")),
    **UNCLAIMED,
    **explained(None),
    "attempts": 0,
    "is_replay_due": False,
}
"""Column values of a load of which nothing is known but its version."""


def unplanned(connection: Connection, tables: Collection[str], now: datetime, limit: int) -> list[Load]:
    """Select ready loads without a partition, of active tables, whose time to be looked at has come."""
    statement = select_loads().where(
        CubicTable.name.in_(tables),
        CubicTable.is_active,
        CubicTable.deleted_at.is_(None),
        CubicLoad.status == LoadStatus.READY.value,
        CubicLoad.partition_key.is_(None),
        CubicLoad.deleted_at.is_(None),
        is_due(CubicLoad.retry_at, now),
    )
    ordered = statement.order_by(CubicLoad.s3_modified, CubicLoad.id).limit(limit)
    return [to_load(row) for row in connection.execute(ordered)]


def snapshots(connection: Connection, table: str) -> list[Snapshot]:
    """Select a table's snapshots, oldest first."""
    statement = (
        select(CubicTableOdsSnapshot.snapshot, CubicTableOdsSnapshot.snapshot_s3_key)
        .join(CubicTable, CubicTable.id == CubicTableOdsSnapshot.table_id)
        .where(CubicTable.name == table, CubicTableOdsSnapshot.snapshot.is_not(None))
        .order_by(CubicTableOdsSnapshot.snapshot)
    )
    return [Snapshot(row.snapshot, row.snapshot_s3_key or "") for row in connection.execute(statement)]


def open_snapshot(connection: Connection, table: str, snapshot: Snapshot) -> bool:
    """Insert a snapshot unless the table has it.

    Raises:
        UnrecordedTableError: The table is not in ``cubic_tables``.
    """
    table_id = connection.execute(select(CubicTable.id).where(CubicTable.name == table)).scalar()
    if table_id is None:
        raise UnrecordedTableError(table)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(CubicTableOdsSnapshot).on_conflict_do_nothing().returning(CubicTableOdsSnapshot.id)
    values = {"table_id": table_id, "snapshot": snapshot.started_at, "snapshot_s3_key": snapshot.key}
    return connection.execute(statement.values(**values)).first() is not None


def placed_page(
    connection: Connection, tables: Collection[str], since: datetime, until: datetime | None, after: Load | None
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
            tuple_(CubicLoad.source_at, CubicLoad.id) > tuple_(literal(after.source_at, UtcDateTime), literal(after.id))
        )
    ordered = statement.order_by(CubicLoad.source_at, CubicLoad.id).limit(1_000)
    return [to_load(row) for row in connection.execute(ordered)]


def place(connection: Connection, placements: Collection[Placement], now: datetime) -> None:
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
    DAGSTER.note(connection, _left_and_entered(current, changed), now)


def wait(
    connection: Connection, load_id: int, reason: str, retry_at: datetime, now: datetime, attempts: int | None = None
) -> None:
    """Write why a load is not planned yet; one that was planned or taken meanwhile is left alone."""
    values: dict[str, Any] = {"waits_for": reason[:MAX_REASON_CHARACTERS], "retry_at": retry_at, "updated_at": now}
    connection.execute(
        update(CubicLoad)
        .where(CubicLoad.id == load_id, CubicLoad.status == LoadStatus.READY.value, CubicLoad.partition_key.is_(None))
        .values(values if attempts is None else values | {"attempts": attempts})
    )


def mark_replay(connection: Connection, load_ids: Collection[int], now: datetime) -> None:
    """Mark loads for replay; those in Error or on the way there have no rows to write again."""
    for page in in_pages(load_ids):
        statement = update(CubicLoad).where(CubicLoad.id.in_(page), CubicLoad.status.not_in(TO_ERROR))
        connection.execute(statement.values(is_replay_due=True, updated_at=now))


def retry(connection: Connection, load_ids: Collection[int], now: datetime) -> list[int]:
    """Bring errored loads back to before they were planned; where their originals lie in Error stays on record.

    One whose original could not be moved there is read where it stayed, in Incoming.
    """
    has_original = CubicLoad.error_key.is_not(None) | (CubicLoad.error_code == OBJECT_FROZEN)
    brought_back: list[int] = []
    for page in in_pages(load_ids):
        statement = select(CubicLoad.id, CubicLoad.status, CubicLoad.table_id, CubicLoad.partition_key).where(
            CubicLoad.id.in_(page), CubicLoad.status == LoadStatus.ERRORED.value, has_original
        )
        rows = connection.execute(statement.order_by(CubicLoad.id).with_for_update()).all()
        for row in rows:
            moved(row.id, row.status, LoadStatus.READY)
        ids = [row.id for row in rows]
        values = {"status": LoadStatus.READY.value, "retried_at": now, "updated_at": now, **_UNPLANNED}
        connection.execute(update(CubicLoad).where(CubicLoad.id.in_(ids)).values(values))
        connection.execute(delete(CubicLoadOdsSnapshot).where(CubicLoadOdsSnapshot.load_id.in_(ids)))
        DAGSTER.note(connection, ((row.table_id, row.partition_key or "") for row in rows), now)
        brought_back += ids
    return brought_back


def _lock(connection: Connection, load_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Lock and return the loads that may still be placed."""
    current: dict[int, Row[Any]] = {}
    for page in in_pages(load_ids):
        statement = (
            select(
                *(CubicLoad.id, CubicLoad.table_id, CubicLoad.status, CubicLoad.source_at, CubicLoad.partition_key),
                *(CubicLoad.retry_at, CubicLoad.is_replay_due, CubicLoad.sidecar_etag, CubicLoadOdsSnapshot.snapshot),
            )
            .outerjoin(CubicLoadOdsSnapshot, CubicLoadOdsSnapshot.load_id == CubicLoad.id)
            .where(CubicLoad.id.in_(page), CubicLoad.status.not_in(TO_ERROR))
            .order_by(CubicLoad.id)
            .with_for_update(of=CubicLoad)
        )
        current |= {row.id: row for row in connection.execute(statement)}
    return current


def _differs(row: Row[Any] | None, placement: Placement) -> bool:
    wanted = (placement.source_at, placement.partition_key, placement.snapshot)
    return row is not None and (row.source_at, row.partition_key, row.snapshot) != wanted


def _left_and_entered(current: Mapping[int, Row[Any]], placements: Collection[Placement]) -> list[tuple[int, str]]:
    """Return the partitions that loads with rows left and entered, each with the id of its table."""
    return [
        (current[placement.load_id].table_id, partition_key)
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
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(CubicLoadOdsSnapshot)
        replacement = {"snapshot": statement.excluded.snapshot}
        connection.execute(statement.on_conflict_do_update(index_elements=["load_id"], set_=replacement), rows)
