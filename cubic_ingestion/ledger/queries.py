"""Queries: what people, the pipeline and the audit ask about loads."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, null, or_, select, union_all

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import INGESTED, TO_ERROR, LoadStatus
from cubic_ingestion.ledger.models import CubicLoad, CubicTable
from cubic_ingestion.ledger.records import Place, StatusCount
from cubic_ingestion.ledger.rows import in_pages, select_loads, to_load
from cubic_ingestion.ledger.transactions import Part, reads

_COLUMNS = {
    Place.INCOMING: CubicLoad.s3_key,
    Place.ARCHIVE: CubicLoad.archive_key,
    Place.ERROR: CubicLoad.error_key,
    Place.SPRINGBOARD: CubicLoad.location,
}


class Queries(Part):
    """Looks up loads.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def load(self, connection: Connection, load_id: int) -> Load | None:
        """Return one load."""
        row = connection.execute(select_loads().where(CubicLoad.id == load_id)).first()
        return None if row is None else to_load(row)

    @reads
    def loads(
        self,
        connection: Connection,
        *,
        tables: Collection[str] | None = None,
        statuses: Collection[LoadStatus] | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Load]:
        """Return loads, newest first; only those with an id less than ``before``, if it is given."""
        statement = select_loads()
        if before is not None:
            statement = statement.where(CubicLoad.id < before)
        if tables is not None:
            statement = statement.where(CubicTable.name.in_(tables))
        if statuses is not None:
            statement = statement.where(CubicLoad.status.in_([status.value for status in statuses]))
        return _loads(connection, statement.order_by(CubicLoad.id.desc()).limit(limit))

    @reads
    def newest_at(self, connection: Connection, locations: Collection[str]) -> Mapping[str, Load]:
        """Return, by Springboard key, the load whose rows stand there."""
        found: dict[str, Load] = {}
        for page in in_pages(locations):
            statement = select_loads().where(CubicLoad.location.in_(page), CubicLoad.status.not_in(TO_ERROR))
            found |= {load.location: load for load in _loads(connection, statement) if load.location is not None}
        return found

    @reads
    def versions(self, connection: Connection, key: str) -> list[Load]:
        """Return all loads of one key in Incoming, in the order they were registered."""
        return _loads(connection, select_loads().where(CubicLoad.s3_key == key).order_by(CubicLoad.id))

    @reads
    def n_rows(self, connection: Connection, table: str) -> int:
        """Sum up the rows of a table that stand in Springboard."""
        statement = (
            select(func.sum(CubicLoad.n_rows))
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicTable.name == table, CubicLoad.status.in_(INGESTED), CubicLoad.location.is_not(None))
        )
        return int(connection.execute(statement).scalar_one() or 0)

    @reads
    def taken_keys(self, connection: Connection, keys: Collection[str]) -> Mapping[str, int]:
        """Return, by key in Archive or Error, the id of the load that is filed there."""
        taken: dict[str, int] = {}
        columns = (CubicLoad.id, CubicLoad.archive_key, CubicLoad.error_key)
        for page in in_pages(keys):
            statement = select(*columns).where(or_(CubicLoad.archive_key.in_(page), CubicLoad.error_key.in_(page)))
            for row in connection.execute(statement.order_by(CubicLoad.id)):
                taken |= {key: row.id for key in (row.archive_key, row.error_key) if key in page}
        return taken

    @reads
    def status_counts(self, connection: Connection) -> list[StatusCount]:
        """Count loads by table and status; each half is read from an index that holds all of it."""
        rows = (func.sum(CubicLoad.n_rows), func.sum(CubicLoad.n_quarantined))
        halves = union_all(
            _counted(*rows).where(CubicLoad.location.is_not(None)),
            _counted(null(), null()).where(CubicLoad.location.is_(None)),
        ).subquery()
        _, status, n_loads, n_rows, n_quarantined, oldest, newest = halves.c
        sums = (func.sum(each) for each in (n_loads, func.coalesce(n_rows, 0), func.coalesce(n_quarantined, 0)))
        statement = (
            select(CubicTable.name, status, *sums, func.min(oldest), func.max(newest))
            .join(CubicTable, CubicTable.id == halves.c.table_id)
            .group_by(CubicTable.name, status)
            .order_by(CubicTable.name, status)
        )
        return [
            StatusCount(table, LoadStatus(status), int(n_loads), int(total), int(kept), oldest, newest)
            for table, status, n_loads, total, kept, oldest, newest in connection.execute(statement)
        ]

    @reads
    def newest_id(self, connection: Connection) -> int:
        """Return the id of the load registered last; 0 if there is none."""
        return connection.execute(select(func.max(CubicLoad.id))).scalar() or 0

    @reads
    def loads_at(self, connection: Connection, place: Place, keys: Collection[str]) -> Mapping[str, list[Load]]:
        """Return, by key, all loads that are on record there, oldest first; keys without one are left out."""
        column = _COLUMNS[place]
        found: dict[str, list[Load]] = {}
        for page in in_pages(keys):
            statement = select_loads().add_columns(column.label("place_key")).where(column.in_(page))
            for row in connection.execute(statement.order_by(CubicLoad.id)):
                found.setdefault(row.place_key, []).append(to_load(row))
        return found

    @reads
    def loads_after(self, connection: Connection, load_id: int, limit: int) -> list[Load]:
        """Return the next loads by id; going on after the last one reads all there are, page by page."""
        # The page first: PostgreSQL would walk the snapshots of all loads before it to join those of the page.
        page = select(CubicLoad.id).where(CubicLoad.id > load_id).order_by(CubicLoad.id).limit(limit)
        ids = connection.execute(page).scalars().all()
        statement = select_loads().where(CubicLoad.id.in_(ids)).order_by(CubicLoad.id)
        return [to_load(row) for row in connection.execute(statement)]

    @reads
    def standing_after(self, connection: Connection, location: str, limit: int) -> list[Load]:
        """Return the next loads with rows in Springboard, by the place of the rows, in the database's own order.

        Going on after the last one reads all there are, page by page. The loads of one table follow each other, as far
        as the database orders texts by their beginning.
        """
        page = select(CubicLoad.id).where(CubicLoad.location > location, CubicLoad.status.in_(INGESTED))
        ids = connection.execute(page.order_by(CubicLoad.location).limit(limit)).scalars().all()
        statement = select_loads().where(CubicLoad.id.in_(ids)).order_by(CubicLoad.location)
        return [to_load(row) for row in connection.execute(statement)]


def _counted(n_rows: ColumnElement[Any], n_quarantined: ColumnElement[Any]) -> Select[Any]:
    return select(
        *(CubicLoad.table_id, CubicLoad.status, func.count().label("n_loads")),
        *(n_rows.label("n_rows"), n_quarantined.label("n_quarantined")),
        *(func.min(CubicLoad.inserted_at).label("oldest"), func.max(CubicLoad.updated_at).label("newest")),
    ).group_by(CubicLoad.table_id, CubicLoad.status)


def _loads(connection: Connection, statement: Select[Any]) -> list[Load]:
    return [to_load(row) for row in connection.execute(statement)]
