"""What an audit asks: whose an object is, and all loads page by page."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from cubic_ingestion.domain.load import Load
from cubic_ingestion.metadata_db.changes import INGESTED
from cubic_ingestion.metadata_db.models import CubicLoad
from cubic_ingestion.metadata_db.rows import in_pages, select_loads, to_load
from cubic_ingestion.ports import Place

_COLUMNS = {
    Place.INCOMING: CubicLoad.s3_key,
    Place.ARCHIVE: CubicLoad.archive_key,
    Place.ERROR: CubicLoad.error_key,
    Place.SPRINGBOARD: CubicLoad.location,
}


def loads_at(connection: Connection, place: Place, keys: Collection[str]) -> Mapping[str, list[Load]]:
    """Select the loads that are on record under keys, by key, oldest first."""
    column = _COLUMNS[place]
    found: dict[str, list[Load]] = {}
    for page in in_pages(keys):
        statement = select_loads().add_columns(column.label("place_key")).where(column.in_(page))
        for row in connection.execute(statement.order_by(CubicLoad.id)):
            found.setdefault(row.place_key, []).append(to_load(row))
    return found


def loads_after(connection: Connection, load_id: int, limit: int) -> list[Load]:
    """Select a page of loads in order of id."""
    # The page first: PostgreSQL would walk the snapshots of all loads before it to join those of the page.
    page = select(CubicLoad.id).where(CubicLoad.id > load_id).order_by(CubicLoad.id).limit(limit)
    ids = connection.execute(page).scalars().all()
    statement = select_loads().where(CubicLoad.id.in_(ids)).order_by(CubicLoad.id)
    return [to_load(row) for row in connection.execute(statement)]


def standing_after(connection: Connection, location: str, limit: int) -> list[Load]:
    """Select a page of loads with rows in Springboard, in order of location.

    The order is that of the database's collation, which need not be that of bytes. It is the same in every page.
    """
    page = select(CubicLoad.id).where(CubicLoad.location > location, CubicLoad.status.in_(INGESTED))
    ids = connection.execute(page.order_by(CubicLoad.location).limit(limit)).scalars().all()
    statement = select_loads().where(CubicLoad.id.in_(ids)).order_by(CubicLoad.location)
    return [to_load(row) for row in connection.execute(statement)]
