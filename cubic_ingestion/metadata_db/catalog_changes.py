"""Changes of Springboard on their way to the catalog: noted with the rows, claimed by table, forgotten once known.

A change says only that something at a place is different. What stands there is looked up when the catalog is told, so
the order of changes means nothing and one that is told twice does no harm.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, literal, or_, select, update

from cubic_ingestion.metadata_db.changes import INGESTED
from cubic_ingestion.metadata_db.columns import UtcDateTime
from cubic_ingestion.metadata_db.models import CubicCatalogChange, CubicLoad, CubicTable
from cubic_ingestion.metadata_db.rows import in_pages
from cubic_ingestion.ports import CatalogBacklog, CatalogWork

_FREE: dict[str, Any] = {"catalog_claimed_by": None, "catalog_due_at": None}
_MOST_REASON_CHARACTERS = 2_000


def note_changes(connection: Connection, places: Sequence[tuple[int, str]], now: datetime) -> None:
    """Record changed places, each with the id of its table, in the transaction that changes them."""
    if places:
        rows = [{"table_id": table_id, "location": place, "inserted_at": now} for table_id, place in places]
        connection.execute(insert(CubicCatalogChange), rows)


def due(connection: Connection, tables: Collection[str], now: datetime) -> list[str]:
    """Select the tables with changes that nobody holds and whose pause is over."""
    statement = select(CubicTable.name).where(CubicTable.name.in_(tables), _has_changes(), _is_free_at(now))
    return list(connection.execute(statement.order_by(CubicTable.id)).scalars())


def claim(
    connection: Connection,
    tables: Collection[str],
    *,
    claimant: str,
    now: datetime,
    expires_at: datetime,
    n_tables: int,
    n_changes: int,
) -> list[CatalogWork]:
    """Lock the tables that are due, hold them, and read their oldest changes.

    Tables that this claimant holds already count as due: a claim whose commit was not answered is made again.
    """
    is_ours = CubicTable.catalog_claimed_by == claimant
    statement = (
        select(CubicTable.id, CubicTable.name, CubicTable.catalog_attempts)
        .where(CubicTable.name.in_(tables), _has_changes(), or_(_is_free_at(now), is_ours))
        .order_by(CubicTable.id)
        .limit(n_tables)
        .with_for_update(key_share=True)  # registering loads, which refers to the tables, goes on
    )
    rows = connection.execute(statement).all()
    hold = update(CubicTable).where(CubicTable.id.in_([row.id for row in rows]))
    connection.execute(hold.values(catalog_claimed_by=claimant, catalog_due_at=expires_at))
    return [CatalogWork(row.name, _changes(connection, row.id, n_changes), row.catalog_attempts) for row in rows]


def complete(connection: Connection, claimant: str, work: CatalogWork, now: datetime) -> bool:
    """Delete just those changes that were claimed; what was noted since waits for the next claim."""
    values = {"catalog_attempts": 0, "catalog_error": None, **_FREE}
    if not connection.execute(update(CubicTable).where(*_is_held(claimant, work.table)).values(values)).rowcount:
        _note_again(connection, work, now)
        return False
    for page in in_pages(work.changes):
        connection.execute(delete(CubicCatalogChange).where(CubicCatalogChange.id.in_(page)))
    return True


def postpone(
    connection: Connection, claimant: str, work: CatalogWork, due_at: datetime, reason: str, now: datetime
) -> bool:
    """Give a table back with the reason; its changes stay."""
    values = {
        "catalog_claimed_by": None,
        "catalog_due_at": due_at,
        "catalog_attempts": CubicTable.catalog_attempts + 1,
        "catalog_error": reason[:_MOST_REASON_CHARACTERS],
    }
    if not connection.execute(update(CubicTable).where(*_is_held(claimant, work.table)).values(values)).rowcount:
        _note_again(connection, work, now)
        return False
    return True


def is_telling(connection: Connection, prefix: str, now: datetime) -> bool:
    """Say whether a claimant with this prefix holds a table under a claim that has not expired."""
    statement = select(CubicTable.id).where(_is_held_by(prefix), CubicTable.catalog_due_at > now).limit(1)
    return connection.execute(statement).first() is not None


def release_catalog(connection: Connection, prefix: str) -> None:
    """Give back the tables that claimants with this prefix hold."""
    connection.execute(update(CubicTable).where(_is_held_by(prefix)).values(_FREE))


def refresh(connection: Connection, tables: Collection[str] | None, now: datetime) -> int:
    """Record every place with rows as changed, and end the pauses of tables that the catalog refused."""
    is_asked_for: list[ColumnElement[bool]] = [] if tables is None else [CubicTable.name.in_(tables)]
    is_free = CubicTable.catalog_claimed_by.is_(None)
    connection.execute(update(CubicTable).where(is_free, *is_asked_for).values(catalog_due_at=None))
    has_rows = [CubicLoad.location.is_not(None), CubicLoad.status.in_(INGESTED), *is_asked_for]
    is_of = CubicTable.id == CubicLoad.table_id
    columns = (CubicLoad.table_id, CubicLoad.location, literal(now, UtcDateTime))
    places = select(*columns).join(CubicTable, is_of).where(*has_rows).order_by(CubicLoad.id)
    connection.execute(insert(CubicCatalogChange).from_select(["table_id", "location", "inserted_at"], places))
    # Drivers do not agree on how many rows such a statement says it wrote.
    return connection.execute(
        select(func.count()).select_from(CubicLoad).join(CubicTable, is_of).where(*has_rows)
    ).scalar_one()


def backlog(connection: Connection) -> list[CatalogBacklog]:
    """Count the changes by table."""
    columns = (CubicTable.name, func.count(), func.min(CubicCatalogChange.inserted_at))
    statement = (
        select(*columns, CubicTable.catalog_due_at, CubicTable.catalog_error)
        .join(CubicTable, CubicTable.id == CubicCatalogChange.table_id)
        .group_by(CubicTable.id)
        .order_by(CubicTable.name)
    )
    return [CatalogBacklog(*row) for row in connection.execute(statement).tuples()]


def pending(connection: Connection, locations: Collection[str]) -> set[str]:
    """Select those places that the catalog has yet to be told of."""
    found: set[str] = set()
    for page in in_pages(locations):
        statement = select(CubicCatalogChange.location).where(CubicCatalogChange.location.in_(page))
        found.update(connection.execute(statement).scalars())
    return found


def _note_again(connection: Connection, work: CatalogWork, now: datetime) -> None:
    """Have changes told once more that a claimant told after its claim was lost.

    Who holds the table by now may have told newer ones already, and they were overwritten with what stood there before.
    """
    table_id = connection.execute(select(CubicTable.id).where(CubicTable.name == work.table)).scalar_one()
    note_changes(connection, [(table_id, place) for place in dict.fromkeys(work.changes.values())], now)


def _changes(connection: Connection, table_id: int, limit: int) -> dict[int, str]:
    statement = (
        select(CubicCatalogChange.id, CubicCatalogChange.location)
        .where(CubicCatalogChange.table_id == table_id)
        .order_by(CubicCatalogChange.id)
        .limit(limit)
    )
    return dict(connection.execute(statement).tuples().all())


def _is_free_at(now: datetime) -> ColumnElement[bool]:
    return or_(CubicTable.catalog_due_at.is_(None), CubicTable.catalog_due_at <= now)


def _has_changes() -> ColumnElement[bool]:
    return exists().where(CubicCatalogChange.table_id == CubicTable.id)


def _is_held(claimant: str, table: str) -> list[ColumnElement[bool]]:
    return [CubicTable.name == table, CubicTable.catalog_claimed_by == claimant]


def _is_held_by(prefix: str) -> ColumnElement[bool]:
    held = CubicTable.catalog_claimed_by
    return held.is_not(None) & (func.substr(held, 1, len(prefix)) == prefix)
