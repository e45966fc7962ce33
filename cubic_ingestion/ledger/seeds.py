"""Seeds: what a consumer begins with, for a table: the last change of each load with rows in Springboard."""

from datetime import datetime

from sqlalchemy import Connection, Subquery, and_, func, insert, literal, select

from cubic_ingestion.domain.changes import IN_SPRINGBOARD, WHOLE_TABLE, ChangeKind
from cubic_ingestion.ledger.change_models import CubicChange
from cubic_ingestion.ledger.models import CubicLoad

HAS_ROWS = CubicLoad.location.is_not(None)

_IS_ROW_CHANGE = and_(
    CubicChange.load_id == CubicLoad.id, CubicChange.kind.in_([kind.value for kind in IN_SPRINGBOARD])
)
_PARTITION_KEY = func.coalesce(CubicLoad.partition_key, WHOLE_TABLE)


def last_row_changes(table_id: int) -> Subquery:
    """Select the loads of a table that have rows, each with its last change in Springboard; NULL if it has none."""
    return (
        select(CubicLoad.id.label("load_id"), func.max(CubicChange.id).label("change_id"))
        .outerjoin(CubicChange, _IS_ROW_CHANGE)
        .where(CubicLoad.table_id == table_id, HAS_ROWS)
        .group_by(CubicLoad.id)
        .subquery()
    )


def record_unknown_rows(connection: Connection, table_id: int, now: datetime) -> None:
    """Record where the rows of a table's loads are, if the last change of a load does not say so.

    They came or moved while there was no feed: before it, or while an older release was at work.
    """
    last = last_row_changes(table_id)
    says_so = and_(
        CubicChange.id == last.c.change_id,
        CubicChange.kind != ChangeKind.WITHDRAWN.value,
        CubicChange.location == CubicLoad.location,
        CubicChange.partition_key == _PARTITION_KEY,
    )
    values = {
        "table_id": CubicLoad.table_id,
        "load_id": CubicLoad.id,
        "kind": literal(ChangeKind.PUBLISHED.value),
        "partition_key": _PARTITION_KEY,
        "location": CubicLoad.location,
        "inserted_at": literal(now, CubicChange.inserted_at.type),
    }
    unknown = (
        select(*values.values())
        .join(last, last.c.load_id == CubicLoad.id)
        .outerjoin(CubicChange, says_so)
        .where(CubicChange.id.is_(None))
        .order_by(CubicLoad.id)
    )
    connection.execute(insert(CubicChange).from_select(list(values), unknown))
