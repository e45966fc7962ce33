"""Tables: ``cubic_tables``, in line with the declarations."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.engine import SYNC_LOCK, be_alone
from cubic_ingestion.ledger.models import CubicTable
from cubic_ingestion.ledger.transactions import Part

Rows = Mapping[int, Row[Any]]


@dataclass(frozen=True, slots=True)
class _Differences:
    """What separates ``cubic_tables`` from the declarations."""

    missing: list[dict[str, Any]]
    """Column values of rows to add."""
    differing: dict[int, dict[str, Any]]
    """Column values to set, by row id."""
    gone: list[int]
    """Ids of rows that are declared no longer."""
    in_the_way: dict[int, str]
    """Prefixes, by id of the row that has one which another row is to get."""

    def __bool__(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.missing or self.differing or self.gone)


class Tables(Part):
    """The tables that are on record."""

    def sync(self, tables: Collection[Table]) -> None:
        """Record the declared tables; one no longer declared gets ``deleted_at``, and keeps its loads.

        Raises:
            DatabaseUnavailableError: The database did not answer within the time of retries.
        """
        if self.database.read(_differences, tables):
            self.database.write(_sync, tables, self.now())


def _sync(connection: Connection, tables: Collection[Table], now: datetime) -> None:
    be_alone(connection, SYNC_LOCK)
    _apply(connection, _differences(connection, tables), now)


def _differences(connection: Connection, tables: Collection[Table]) -> _Differences:
    """Compare ``cubic_tables`` with the declarations; one query."""
    rows = {row.id: row for row in connection.execute(select(CubicTable.__table__))}
    assigned = _assigned(rows, tables)
    declared = {assigned[table.name]: _values(table) for table in tables if table.name in assigned}
    differing = {
        row_id: values
        for row_id, values in declared.items()
        if any(getattr(rows[row_id], column) != value for column, value in values.items())
    }
    missing = [_values(table) for table in tables if table.name not in assigned]
    return _Differences(
        missing,
        differing,
        gone=[row.id for row in rows.values() if row.id not in declared and row.deleted_at is None],
        in_the_way=_in_the_way(rows, differing, missing),
    )


def _apply(connection: Connection, changes: _Differences, now: datetime) -> None:
    """Carry out what ``_differences`` found, in the same transaction."""
    for row_id, prefix in changes.in_the_way.items():
        aside = f"{prefix}retired={row_id}/"
        connection.execute(update(CubicTable).where(CubicTable.id == row_id).values(s3_prefix=aside))
    for row_id, values in changes.differing.items():
        connection.execute(update(CubicTable).where(CubicTable.id == row_id).values(**values, updated_at=now))
    if changes.missing:
        stamps = {"inserted_at": now, "updated_at": now}
        connection.execute(insert(CubicTable), [values | stamps for values in changes.missing])
    if changes.gone:
        statement = update(CubicTable).where(CubicTable.id.in_(changes.gone))
        connection.execute(statement.values(deleted_at=now, updated_at=now))


def _values(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "s3_prefix": table.prefix,
        "is_raw": table.is_raw,
        "is_active": table.is_active,
        "deleted_at": None,
    }


def _assigned(rows: Rows, tables: Collection[Table]) -> dict[str, int]:
    """Find each declared table's row: by its name, else by its prefix, so that a renamed table keeps its loads."""
    by_name = {row.name: row.id for row in rows.values()}
    assigned = {table.name: by_name[table.name] for table in tables if table.name in by_name}
    kept = set(assigned.values())
    by_prefix = {row.s3_prefix: row.id for row in rows.values() if row.id not in kept}
    return assigned | {
        table.name: by_prefix[table.prefix]
        for table in tables
        if table.name not in assigned and table.prefix in by_prefix
    }


def _in_the_way(
    rows: Rows, differing: Mapping[int, Mapping[str, Any]], missing: Collection[Mapping[str, Any]]
) -> dict[int, str]:
    """Find rows whose prefix moves to another row; two declared tables may even swap theirs."""
    wanted = {values["s3_prefix"]: row_id for row_id, values in differing.items()}
    wanted |= {values["s3_prefix"]: None for values in missing}
    return {
        row.id: row.s3_prefix for row in rows.values() if row.s3_prefix in wanted and wanted[row.s3_prefix] != row.id
    }
