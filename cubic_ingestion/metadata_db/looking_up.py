"""What people and the pipeline ask about loads."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, null, or_, select, union_all

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.metadata_db.changes import INGESTED, TO_ERROR
from cubic_ingestion.metadata_db.models import CubicLoad, CubicTable
from cubic_ingestion.metadata_db.rows import in_pages, select_loads, to_load
from cubic_ingestion.ports import PartitionTotal, StatusCount


def load(connection: Connection, load_id: int) -> Load | None:
    """Select one load."""
    row = connection.execute(select_loads().where(CubicLoad.id == load_id)).first()
    return None if row is None else to_load(row)


def loads(
    connection: Connection,
    tables: Collection[str] | None,
    statuses: Collection[LoadStatus] | None,
    limit: int,
    before: int | None = None,
) -> list[Load]:
    """Select loads, newest first."""
    statement = select_loads()
    if before is not None:
        statement = statement.where(CubicLoad.id < before)
    if tables is not None:
        statement = statement.where(CubicTable.name.in_(tables))
    if statuses is not None:
        statement = statement.where(CubicLoad.status.in_([status.value for status in statuses]))
    return _loads(connection, statement.order_by(CubicLoad.id.desc()).limit(limit))


def quarantined(
    connection: Connection, tables: Collection[str] | None, after: int = 0, limit: int | None = None
) -> list[Load]:
    """Select the loads with records in quarantine, oldest first."""
    by_id = CubicLoad.id + 0  # not the bare id, by which the primary key would be walked, through all loads
    has_records = (CubicLoad.n_quarantined > 0, CubicLoad.location.is_not(None), by_id > after)
    statement = select_loads().where(*has_records).limit(limit)
    if tables is not None:
        statement = statement.where(CubicTable.name.in_(tables))
    return _loads(connection, statement.order_by(by_id))


def newest_at(connection: Connection, locations: Collection[str]) -> Mapping[str, Load]:
    """Select the load whose rows stand under each Springboard key."""
    found: dict[str, Load] = {}
    for page in in_pages(locations):
        statement = select_loads().where(CubicLoad.location.in_(page), CubicLoad.status.not_in(TO_ERROR))
        found |= {load.location: load for load in _loads(connection, statement) if load.location is not None}
    return found


def versions(connection: Connection, key: str) -> list[Load]:
    """Select all loads of one key in Incoming, in the order they were registered."""
    return _loads(connection, select_loads().where(CubicLoad.s3_key == key).order_by(CubicLoad.id))


def partition_totals(
    connection: Connection, table: str, partition_keys: Collection[str]
) -> Mapping[str, PartitionTotal]:
    """Sum up what stands in Springboard, by partition."""
    totals: dict[str, PartitionTotal] = {}
    sums = (
        CubicLoad.partition_key,
        func.count(),
        func.sum(CubicLoad.n_rows),
        func.sum(CubicLoad.n_bytes),
        func.coalesce(func.sum(CubicLoad.n_quarantined), 0),
        func.min(CubicLoad.source_at),
        func.max(CubicLoad.source_at),
    )
    for page in in_pages(partition_keys):
        statement = _standing(select(*sums), table, page).group_by(CubicLoad.partition_key)
        for key, n_loads, n_rows, n_bytes, n_quarantined, first, last in connection.execute(statement):
            totals[key] = PartitionTotal(n_loads, int(n_rows), int(n_bytes), int(n_quarantined), first, last)
    return totals


def n_rows(connection: Connection, table: str) -> int:
    """Sum up what stands in Springboard."""
    statement = (
        select(func.sum(CubicLoad.n_rows))
        .join(CubicTable, CubicTable.id == CubicLoad.table_id)
        .where(CubicTable.name == table, CubicLoad.status.in_(INGESTED), CubicLoad.location.is_not(None))
    )
    return int(connection.execute(statement).scalar_one() or 0)


def locations(connection: Connection, table: str, partition_keys: Collection[str]) -> list[str]:
    """Select where the rows of some partitions stand, oldest first."""
    found: list[tuple[Any, ...]] = []
    for page in in_pages(partition_keys):
        statement = select(CubicLoad.source_at, CubicLoad.id, CubicLoad.location)
        found += connection.execute(_standing(statement, table, page)).tuples()
    return [location for _, _, location in sorted(found)]


def taken_keys(connection: Connection, keys: Collection[str]) -> Mapping[str, int]:
    """Select who is filed under keys in Archive or Error."""
    taken: dict[str, int] = {}
    columns = (CubicLoad.id, CubicLoad.archive_key, CubicLoad.error_key)
    for page in in_pages(keys):
        statement = select(*columns).where(or_(CubicLoad.archive_key.in_(page), CubicLoad.error_key.in_(page)))
        for row in connection.execute(statement.order_by(CubicLoad.id)):
            taken |= {key: row.id for key in (row.archive_key, row.error_key) if key in page}
    return taken


def status_counts(connection: Connection) -> list[StatusCount]:
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


def _counted(n_rows: ColumnElement[Any], n_quarantined: ColumnElement[Any]) -> Select[Any]:
    return select(
        *(CubicLoad.table_id, CubicLoad.status, func.count().label("n_loads")),
        *(n_rows.label("n_rows"), n_quarantined.label("n_quarantined")),
        *(func.min(CubicLoad.inserted_at).label("oldest"), func.max(CubicLoad.updated_at).label("newest")),
    ).group_by(CubicLoad.table_id, CubicLoad.status)


def _standing(statement: Select[Any], table: str, partition_keys: Collection[str]) -> Select[Any]:
    """Keep the loads of some partitions that have rows in Springboard."""
    return statement.join(CubicTable, CubicTable.id == CubicLoad.table_id).where(
        CubicTable.name == table,
        CubicLoad.status.in_(INGESTED),
        CubicLoad.partition_key.in_(partition_keys),
        CubicLoad.location.is_not(None),
    )


def _loads(connection: Connection, statement: Select[Any]) -> list[Load]:
    return [to_load(row) for row in connection.execute(statement)]
