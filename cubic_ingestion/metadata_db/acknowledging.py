"""What of a table waits for a person, and that a person has seen it."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, false, func, or_, select, update

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.metadata_db.changes import TO_ERROR
from cubic_ingestion.metadata_db.models import CubicLoad, CubicTable
from cubic_ingestion.metadata_db.outbox import DAGSTER
from cubic_ingestion.metadata_db.rows import in_pages, select_loads, to_load
from cubic_ingestion.ports import WHOLE_TABLE, OpenState, SomeLoads

_NOT_INGESTED = (LoadStatus.READY.value, LoadStatus.INGESTING.value)
_IS_OPEN = CubicLoad.acknowledged_at.is_(None)
_WAS_REJECTED = CubicLoad.status.in_(TO_ERROR)
_FAILED_REPLAY = CubicLoad.error_code.is_not(None) & CubicLoad.status.not_in(TO_ERROR)
_HAS_QUARANTINE = (CubicLoad.n_quarantined > 0) & CubicLoad.location.is_not(None)


def open_state(connection: Connection, table: str, waiting_since: datetime, limit: int) -> OpenState:
    """Select what waits for a person; each part is answered from an index that leaves out all sound archived loads."""
    found = connection.execute(select(CubicTable.id, CubicTable.is_active).where(CubicTable.name == table)).first()
    if found is None:
        return OpenState()
    began_at = func.coalesce(CubicLoad.retried_at, CubicLoad.inserted_at, type_=CubicLoad.inserted_at.type)
    is_late = CubicLoad.status.in_(_NOT_INGESTED) & CubicLoad.waits_for.is_(None) & (began_at < waiting_since)
    return OpenState(
        rejected=_some(connection, found.id, _WAS_REJECTED & _IS_OPEN, limit),
        failed_replays=_some(connection, found.id, _FAILED_REPLAY & _IS_OPEN, limit),
        quarantined=_some(connection, found.id, _HAS_QUARANTINE & _IS_OPEN, limit),
        waiting=_some(connection, found.id, is_late if found.is_active else false(), limit),
    )


def acknowledge(connection: Connection, load_ids: Collection[int], by: str, reason: str, now: datetime) -> list[int]:
    """Write who knows of a rejection or of quarantined records, and why, unless somebody has written that before."""
    acknowledged: list[int] = []
    values = {"acknowledged_at": now, "acknowledged_by": by, "acknowledged_reason": reason, "updated_at": now}
    for page in in_pages(load_ids):
        is_trouble = or_(_WAS_REJECTED, CubicLoad.error_code.is_not(None), _HAS_QUARANTINE)
        statement = update(CubicLoad).where(CubicLoad.id.in_(page), is_trouble, _IS_OPEN).values(values)
        rows = connection.execute(statement.returning(CubicLoad.id, CubicLoad.table_id)).all()
        DAGSTER.note(connection, ((table_id, WHOLE_TABLE) for _, table_id in rows), now)
        acknowledged += [load_id for load_id, _ in rows]
    return acknowledged


def _some(connection: Connection, table_id: int, condition: ColumnElement[bool], limit: int) -> SomeLoads:
    conditions = (CubicLoad.table_id == table_id, condition)
    n_loads = connection.execute(select(func.count()).select_from(CubicLoad).where(*conditions)).scalar_one()
    if not n_loads:
        return SomeLoads()
    newest = select_loads().where(*conditions).order_by(CubicLoad.id.desc()).limit(limit)
    return SomeLoads(n_loads, [to_load(row) for row in connection.execute(newest)])
