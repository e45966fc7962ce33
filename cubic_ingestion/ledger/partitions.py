"""Partitions: what stands in Springboard of each, and which of its loads were rejected."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, union

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import INGESTED, TO_ERROR, LoadStatus
from cubic_ingestion.ledger.models import CubicLoad, CubicTable, CubicTableSchema
from cubic_ingestion.ledger.records import PartitionTotal, StandingFile
from cubic_ingestion.ledger.rows import in_pages, select_loads, to_load
from cubic_ingestion.ledger.schemas import Columns, columns_of, names_of
from cubic_ingestion.ledger.transactions import Part, reads

_STATUSES = tuple(status.value for status in LoadStatus)


class Partitions(Part):
    """Looks up partitions of tables.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def totals(
        self, connection: Connection, table: str, partition_keys: Collection[str]
    ) -> Mapping[str, PartitionTotal]:
        """Sum up, by partition, what stands in Springboard."""
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

    @reads
    def locations(self, connection: Connection, table: str, partition_keys: Collection[str]) -> list[str]:
        """Return the Springboard keys of the loads of some partitions, oldest first."""
        found: list[tuple[Any, ...]] = []
        for page in in_pages(partition_keys):
            statement = select(CubicLoad.source_at, CubicLoad.id, CubicLoad.location)
            found += connection.execute(_standing(statement, table, page)).tuples()
        return [location for _, _, location in sorted(found)]

    @reads
    def newest_files(
        self, connection: Connection, table: str, partition_keys: Collection[str], limit: int
    ) -> Mapping[str, list[StandingFile]]:
        """Return the newest files of some partitions, newest first; the database numbers them."""
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
                select(
                    numbered,
                    func.coalesce(CubicTableSchema.columns, "[]").label("columns"),
                    func.coalesce(CubicTableSchema.primary_key, "[]").label("primary_key"),
                )
                .outerjoin(CubicTableSchema, CubicTableSchema.id == numbered.c.schema_id)
                .where(numbered.c.position <= limit)
                .order_by(numbered.c.partition_key, numbered.c.position)
            )
            for row in connection.execute(statement):
                columns = known.get(row.columns) or known.setdefault(row.columns, columns_of(row.columns))
                key = names_of(row.primary_key)
                found.setdefault(row.partition_key, []).append(StandingFile(row.location, row.id, columns, key))
        return found

    @reads
    def rejected(self, connection: Connection, table: str, partition_keys: Collection[str]) -> list[Load]:
        """Return the loads of some partitions that are in Error or on the way there, newest first."""
        found: list[Load] = []
        for page in in_pages(partition_keys):
            statement = select_loads().where(
                CubicTable.name == table, CubicLoad.status.in_(TO_ERROR), CubicLoad.partition_key.in_(page)
            )
            found += [to_load(row) for row in connection.execute(statement.order_by(CubicLoad.id.desc()))]
        return found

    @reads
    def with_loads(self, connection: Connection, table: str, partition_keys: Collection[str]) -> set[str]:
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

    @reads
    def with_rows(self, connection: Connection, table: str, after: str, limit: int) -> list[str]:
        """Return the next partitions with rows in Springboard, in the order of the database's collation.

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


def _standing(statement: Select[Any], table: str, partition_keys: Collection[str]) -> Select[Any]:
    """Keep the loads of some partitions that have rows in Springboard."""
    return statement.join(CubicTable, CubicTable.id == CubicLoad.table_id).where(
        CubicTable.name == table,
        CubicLoad.status.in_(INGESTED),
        CubicLoad.partition_key.in_(partition_keys),
        CubicLoad.location.is_not(None),
    )
