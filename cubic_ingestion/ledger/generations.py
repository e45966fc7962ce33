"""Generations: the full loads of an ODS table that its products may show, and the schemas of their files."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, type_coerce

from cubic_ingestion.domain.generation import Generation, LoadFile, Shown
from cubic_ingestion.domain.snapshot import owning_snapshot, snapshot_id
from cubic_ingestion.domain.status import INGESTED, TO_ERROR, LoadStatus
from cubic_ingestion.ledger.columns import UtcDateTime
from cubic_ingestion.ledger.models import (
    CubicLoad,
    CubicLoadOdsSnapshot,
    CubicTable,
    CubicTableOdsSnapshot,
    CubicTableSchema,
)
from cubic_ingestion.ledger.product_models import CubicProduct
from cubic_ingestion.ledger.records import SchemaInUse
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.schemas import columns_of, names_of
from cubic_ingestion.ledger.transactions import Part, reads

_STATUSES = tuple(status.value for status in LoadStatus)
_CHANGES_OF = "{}_{}"
"""A partition of a change table is the snapshot and the day."""
_FILE = (
    *(CubicLoad.id, CubicLoad.s3_key, CubicLoad.status, CubicLoad.partition_key, CubicLoad.s3_modified),
    *(CubicLoad.is_replay_due, CubicLoad.location),
    func.coalesce(CubicLoad.retried_at, CubicLoad.inserted_at, type_=CubicLoad.inserted_at.type).label("arrived_at"),
)


class Generations(Part):
    """Looks up generations.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def shown(self, connection: Connection, base: str) -> Shown:
        """Return which generation the product of a base table shows, and what a person chose it over."""
        statement = (
            select(CubicProduct.generation, CubicProduct.chosen_over)
            .join(CubicTable, CubicTable.id == CubicProduct.table_id)
            .where(CubicTable.name == base)
        )
        row = connection.execute(statement).tuples().first()
        return Shown(*row) if row else Shown()

    @reads
    def newer(self, connection: Connection, base: str, after: str) -> list[Generation]:
        """Return the generations of a base table whose ids come after another, oldest first."""
        table_id, known = _snapshots(connection, base)
        return _generations(connection, base, table_id, known, [name for name in known if name > after])

    @reads
    def named(self, connection: Connection, base: str, generation: str) -> Generation | None:
        """Return one generation of a base table; None if there is no such one."""
        return generation_of(connection, base, generation)

    @reads
    def schemas(self, connection: Connection, table: str, snapshot: datetime) -> list[SchemaInUse]:
        """Return the schemas of the loads of a snapshot that have rows in Springboard, each with its newest load.

        Each schema of the table is looked for from the newest load by source time on. One that is in use is found at
        once; one that is out of use costs a walk over the loads that are newer than its last.
        """
        schemas = (
            select(CubicTableSchema.id, CubicTableSchema.columns, CubicTableSchema.primary_key)
            .join(CubicTable, CubicTable.id == CubicTableSchema.table_id)
            .where(CubicTable.name == table)
            .order_by(CubicTableSchema.id)
        )
        found: list[SchemaInUse] = []
        for schema_id, columns, key in connection.execute(schemas).tuples().all():
            newest = connection.execute(_newest(table, snapshot, CubicLoad.schema_id == schema_id)).tuples().first()
            if newest:
                primary_key = None if key is None else names_of(key)
                found.append(SchemaInUse(*newest, columns_of(columns), primary_key))
        return found

    @reads
    def newest_without_schema(self, connection: Connection, table: str, snapshot: datetime) -> int | None:
        """Return the newest load of a snapshot that has rows in Springboard and no schema on record."""
        return connection.execute(_newest(table, snapshot, CubicLoad.schema_id.is_(None))).scalar()


def generation_of(connection: Connection, base: str, generation: str) -> Generation | None:
    """Return one generation of a base table; None if there is no such one."""
    table_id, known = _snapshots(connection, base)
    wanted = [generation] if generation in known else []
    return next(iter(_generations(connection, base, table_id, known, wanted)), None)


def _snapshots(connection: Connection, base: str) -> tuple[int, Mapping[str, datetime]]:
    """Return the id of a base table, and its snapshots by their ids, oldest first."""
    statement = (
        select(CubicTable.id, CubicTableOdsSnapshot.snapshot)
        .join(CubicTableOdsSnapshot, CubicTableOdsSnapshot.table_id == CubicTable.id)
        .where(CubicTable.name == base, CubicTableOdsSnapshot.snapshot.is_not(None))
        .order_by(CubicTableOdsSnapshot.snapshot)
    )
    rows = connection.execute(statement).tuples().all()
    return (rows[0][0] if rows else 0), {snapshot_id(snapshot): snapshot for _, snapshot in rows if snapshot}


def _generations(
    connection: Connection, base: str, table_id: int, known: Mapping[str, datetime], wanted: Collection[str]
) -> list[Generation]:
    """Describe some generations. A file that is not planned yet counts for the snapshot that its age suggests."""
    if not wanted:
        return []
    files: dict[str, dict[str, LoadFile]] = {name: {} for name in wanted}
    is_planned = [CubicLoad.partition_key.in_(page) for page in in_pages(wanted)]
    for condition in (*is_planned, CubicLoad.partition_key.is_(None)):
        # The statuses are named, so that the index is used up to the partition.
        of_table = (CubicLoad.table_id == table_id, CubicLoad.status.in_(_STATUSES))
        for row in connection.execute(select(*_FILE).where(*of_table, condition)):
            name = row.partition_key or _probable(row, list(known.values()))
            if name in files:
                before = files[name].get(row.s3_key)
                if before is None or before.load_id < row.id:
                    files[name][row.s3_key] = _file(row)
    return [
        Generation(name, list(by_key.values()), _has_changes(connection, base, name))
        for name, by_key in sorted(files.items())
    ]


def _probable(row: Row[Any], snapshots: Sequence[datetime]) -> str:
    owner = owning_snapshot(row.s3_modified, snapshots, is_change=False)
    return snapshot_id(owner) if owner else ""


def _file(row: Row[Any]) -> LoadFile:
    is_ingested, is_rejected = row.status in INGESTED, row.status in TO_ERROR
    return LoadFile(
        row.id,
        row.s3_key,
        row.arrived_at,
        is_open=row.is_replay_due or not (is_ingested or is_rejected),
        is_rejected=is_rejected,
        has_rows=is_ingested and row.location is not None,
    )


def _has_changes(connection: Connection, base: str, generation: str) -> bool:
    """Say whether a load of the change table that belongs to a generation has rows in Springboard, at its place."""
    ids = select(CubicTable.id).where(CubicTable.name == f"{base}__ct")
    first, last = _CHANGES_OF.format(generation, "0"), _CHANGES_OF.format(generation, "9999-12-31")
    statement = select(CubicLoad.id).where(
        CubicLoad.table_id == ids.scalar_subquery(),
        CubicLoad.status.in_(INGESTED),
        CubicLoad.partition_key.between(first, last),
        CubicLoad.location.is_not(None),
        CubicLoad.is_replay_due.is_(False),
    )
    return connection.execute(statement.limit(1)).first() is not None


def _newest(table: str, snapshot: datetime, condition: ColumnElement[bool]) -> Select[tuple[int, datetime]]:
    """Select the newest load by source time of a snapshot that has rows, from the end of ``ix_cubic_loads_source_at``.

    The partition is not asked for: the databases would collect all loads of the snapshot by it, and sort them.
    """
    table_id = select(CubicTable.id).where(CubicTable.name == table).scalar_subquery()
    return (
        select(CubicLoad.id, type_coerce(CubicLoad.source_at, UtcDateTime()))
        .join(CubicLoadOdsSnapshot, CubicLoadOdsSnapshot.load_id == CubicLoad.id)
        .where(CubicLoad.table_id == table_id, CubicLoad.source_at.is_not(None), CubicLoad.location.is_not(None))
        .where(CubicLoad.status.not_in([*TO_ERROR, LoadStatus.READY, LoadStatus.INGESTING]), condition)
        .where(CubicLoadOdsSnapshot.snapshot == snapshot)
        .order_by(CubicLoad.source_at.desc(), CubicLoad.id.desc())
        .limit(1)
    )
