"""What only the catalog asks of its outbox: to be told everything again, and what it has yet to be told."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, literal, select, update

from cubic_ingestion.metadata_db.changes import INGESTED
from cubic_ingestion.metadata_db.columns import UtcDateTime
from cubic_ingestion.metadata_db.models import CubicCatalogChange, CubicLoad, CubicTable
from cubic_ingestion.metadata_db.rows import in_pages


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


def pending(connection: Connection, locations: Collection[str]) -> set[str]:
    """Select those places that the catalog has yet to be told of."""
    found: set[str] = set()
    for page in in_pages(locations):
        statement = select(CubicCatalogChange.location).where(CubicCatalogChange.location.in_(page))
        found.update(connection.execute(statement).scalars())
    return found
