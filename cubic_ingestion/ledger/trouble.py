"""Trouble: what of a table waits for a person, and that a person has seen it."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, false, func, or_, select, update

from cubic_ingestion.domain.changes import WHOLE_TABLE, ChangeKind
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import TO_ERROR, LoadStatus
from cubic_ingestion.ledger.changes import Change, record
from cubic_ingestion.ledger.models import CubicLoad, CubicTable
from cubic_ingestion.ledger.records import OpenState, SomeLoads
from cubic_ingestion.ledger.rows import in_pages, select_loads, to_load
from cubic_ingestion.ledger.transactions import Part, reads, records

_NOT_INGESTED = (LoadStatus.READY.value, LoadStatus.INGESTING.value)


_IS_OPEN = CubicLoad.acknowledged_at.is_(None)


_WAS_REJECTED = CubicLoad.status.in_(TO_ERROR)


_FAILED_REPLAY = CubicLoad.error_code.is_not(None) & CubicLoad.status.not_in(TO_ERROR)


_HAS_QUARANTINE = (CubicLoad.n_quarantined > 0) & CubicLoad.location.is_not(None)


class Trouble(Part):
    """What waits for a person.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def open_state(self, connection: Connection, table: str, waiting_since: datetime, limit: int) -> OpenState:
        """Return what of a table waits for a person.

        Args:
            table: The table.
            waiting_since: A load that lacks nothing and was on its way before then has waited for too long.
            limit: Maximum number of loads of each kind.
        """
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

    @records
    def acknowledge(
        self, connection: Connection, now: datetime, load_ids: Collection[int], by: str, reason: str
    ) -> list[int]:
        """Record that somebody knows of rejected loads, or of records in quarantine, and why nobody needs to act.

        Another rejection, or another try, clears it. Until then it stays: a second one does not replace it.

        Returns:
            Ids of the loads acknowledged; the others have neither an error nor records in quarantine, or were
            acknowledged before.
        """
        acknowledged: list[int] = []
        values = {"acknowledged_at": now, "acknowledged_by": by, "acknowledged_reason": reason, "updated_at": now}
        for page in in_pages(load_ids):
            is_trouble = or_(_WAS_REJECTED, CubicLoad.error_code.is_not(None), _HAS_QUARANTINE)
            statement = update(CubicLoad).where(CubicLoad.id.in_(page), is_trouble, _IS_OPEN).values(values)
            rows = connection.execute(statement.returning(CubicLoad.id, CubicLoad.table_id)).all()
            marked = [Change(table_id, None, ChangeKind.MARKED, WHOLE_TABLE) for _, table_id in rows]
            record(connection, marked, now)
            acknowledged += [load_id for load_id, _ in rows]
        return acknowledged

    @reads
    def quarantined(
        self, connection: Connection, tables: Collection[str] | None = None, *, after: int = 0, limit: int | None = None
    ) -> list[Load]:
        """Return the loads with records in quarantine and an id greater than ``after``, oldest first."""
        by_id = CubicLoad.id + 0  # not the bare id, by which the primary key would be walked, through all loads
        has_records = (CubicLoad.n_quarantined > 0, CubicLoad.location.is_not(None), by_id > after)
        statement = select_loads().where(*has_records).limit(limit)
        if tables is not None:
            statement = statement.where(CubicTable.name.in_(tables))
        return [to_load(row) for row in connection.execute(statement.order_by(by_id))]


def _some(connection: Connection, table_id: int, condition: ColumnElement[bool], limit: int) -> SomeLoads:
    conditions = (CubicLoad.table_id == table_id, condition)
    n_loads = connection.execute(select(func.count()).select_from(CubicLoad).where(*conditions)).scalar_one()
    if not n_loads:
        return SomeLoads()
    newest = select_loads().where(*conditions).order_by(CubicLoad.id.desc()).limit(limit)
    return SomeLoads(n_loads, [to_load(row) for row in connection.execute(newest)])
