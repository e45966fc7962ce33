"""What Dagster is to show of partitions: their newest files, their rejected loads, and changes yet to be reported."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select, union

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.metadata_db.changes import INGESTED, TO_ERROR
from cubic_ingestion.metadata_db.models import CubicDagsterChange, CubicLoad, CubicTable, CubicTableSchema
from cubic_ingestion.metadata_db.rows import in_pages, select_loads, to_load
from cubic_ingestion.metadata_db.table_schemas import Columns, columns_of
from cubic_ingestion.ports import StandingFile

_STATUSES = tuple(status.value for status in LoadStatus)


def pending(connection: Connection, table: str, partition_keys: Collection[str]) -> Mapping[str, datetime]:
    """Select those of some partitions that have changes, and when the oldest of each was recorded."""
    found: dict[str, datetime] = {}
    for page in in_pages(partition_keys):
        statement = (
            select(CubicDagsterChange.partition_key, func.min(CubicDagsterChange.inserted_at))
            .join(CubicTable, CubicTable.id == CubicDagsterChange.table_id)
            .where(CubicTable.name == table, CubicDagsterChange.partition_key.in_(page))
            .group_by(CubicDagsterChange.partition_key)
        )
        found |= connection.execute(statement).tuples().all()
    return found


def newest_files(
    connection: Connection, table: str, partition_keys: Collection[str], limit: int
) -> Mapping[str, list[StandingFile]]:
    """Select the newest files of each partition; the database numbers them, since a partition may have thousands."""
    found: dict[str, list[StandingFile]] = {}
    known: dict[str, Columns] = {}
    # Not the bare column: SQLite would then walk the index that is sorted by it, through the whole table.
    source_at = func.coalesce(CubicLoad.source_at, datetime.min.replace(tzinfo=UTC))
    newest_first = (source_at.desc(), CubicLoad.id.desc())
    position = func.row_number().over(partition_by=CubicLoad.partition_key, order_by=newest_first).label("position")
    for page in in_pages(partition_keys):
        numbered = (
            select(CubicLoad.partition_key, CubicLoad.location, CubicLoad.id, CubicLoad.schema_id, position)
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicTable.name == table, CubicLoad.status.in_(INGESTED), CubicLoad.partition_key.in_(page))
            .where(CubicLoad.location.is_not(None))
            .subquery()
        )
        statement = (
            select(numbered, func.coalesce(CubicTableSchema.columns, "[]").label("columns"))
            .outerjoin(CubicTableSchema, CubicTableSchema.id == numbered.c.schema_id)
            .where(numbered.c.position <= limit)
            .order_by(numbered.c.partition_key, numbered.c.position)
        )
        for row in connection.execute(statement):
            columns = known.get(row.columns) or known.setdefault(row.columns, columns_of(row.columns))
            found.setdefault(row.partition_key, []).append(StandingFile(row.location, row.id, columns))
    return found


def rejected_in(connection: Connection, table: str, partition_keys: Collection[str]) -> list[Load]:
    """Select the rejected loads of some partitions, newest first."""
    found: list[Load] = []
    for page in in_pages(partition_keys):
        statement = select_loads().where(
            CubicTable.name == table, CubicLoad.status.in_(TO_ERROR), CubicLoad.partition_key.in_(page)
        )
        found += [to_load(row) for row in connection.execute(statement.order_by(CubicLoad.id.desc()))]
    return found


def partitions_with_loads(connection: Connection, table: str, partition_keys: Collection[str]) -> set[str]:
    """Select those of some partitions that have loads in any status; ``ix_cubic_loads_work`` has them by status."""
    found: set[str] = set()
    for page in in_pages(partition_keys):
        statement = (
            select(CubicLoad.partition_key)
            .distinct()
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicTable.name == table, CubicLoad.status.in_(_STATUSES), CubicLoad.partition_key.in_(page))
        )
        found.update(key for key in connection.execute(statement).scalars() if key is not None)
    return found


def partitions_with_rows(connection: Connection, table: str, after: str, limit: int) -> list[str]:
    """Select a page of a table's partitions that have rows, in the order of the database's collation.

    Each status has a page of its own from the index that is sorted by partition within a status. Of all statuses
    together, the database would sort all partitions that follow, for each page.
    """
    table_id = select(CubicTable.id).where(CubicTable.name == table).scalar_subquery()
    pages = [
        select(CubicLoad.partition_key)
        .distinct()
        .where(CubicLoad.table_id == table_id, CubicLoad.status == status, CubicLoad.location.is_not(None))
        .where(CubicLoad.partition_key > after)
        .order_by(CubicLoad.partition_key)
        .limit(limit)
        .subquery()
        for status in INGESTED
    ]
    united = union(*(select(page.c.partition_key) for page in pages)).subquery()
    statement = select(united.c.partition_key).order_by(united.c.partition_key).limit(limit)
    return [key for key in connection.execute(statement).scalars() if key is not None]
