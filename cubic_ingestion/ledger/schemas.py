"""Schemas: the columns that a table's files have had, and what the columns are for.

Each schema is kept once, and every load names its schema. The same columns with another primary key are another schema.
A schema without roles says nothing of a key: its files have no sidecar, or it was recorded before roles were. The
fingerprint of a schema without roles is the one that it always had, so an upgrade changes no schema.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from cubic_ingestion.domain.load import LoadSchema
from cubic_ingestion.domain.status import INGESTED, TO_ERROR
from cubic_ingestion.domain.table import Column, ColumnRoles
from cubic_ingestion.ledger.models import CubicLoad, CubicTable, CubicTableSchema
from cubic_ingestion.ledger.rows import PAGE_SIZE, in_pages
from cubic_ingestion.ledger.transactions import Part, reads
from cubic_ingestion.ledger.upserts import upsert

Columns = tuple[Column, ...]
Schema = tuple[Columns, ColumnRoles | None]

_COMPARED = (CubicLoad.id, CubicLoad.s3_key, CubicLoad.schema_id)
_RECORDED = select(CubicTableSchema.table_id, CubicTableSchema.fingerprint, CubicTableSchema.id).where(
    CubicTableSchema.table_id.in_(bindparam("table_ids", expanding=True)),
    CubicTableSchema.fingerprint.in_(bindparam("fingerprints", expanding=True)),
)


class Schemas(Part):
    """Looks up the columns of files.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def known(self, connection: Connection, table: str) -> list[Columns]:
        """Return the columns that the files of a table have had, in the order in which they first came."""
        return list(dict.fromkeys(columns for columns, _ in _schemas_by_id(connection, table).values()))

    @reads
    def keys(self, connection: Connection, table: str) -> list[tuple[str, ...]]:
        """Return the primary keys that the files of a table have named, in the order in which they first came."""
        roles = (roles for _, roles in _schemas_by_id(connection, table).values())
        return list(dict.fromkeys(each.primary_key for each in roles if each))

    @reads
    def changes(self, connection: Connection, table: str) -> list[tuple[LoadSchema, LoadSchema]]:
        """Select each load of a table whose schema differs from the load's before it, after that one.

        A load whose roles are not known is returned with those of the nearest load before it. The database compares: a
        table has many loads, and few changes.
        """
        loads = (
            select(*_COMPARED)
            .add_columns(
                *(func.lag(column).over(order_by=CubicLoad.id).label(f"{column.key}_before") for column in _COMPARED)
            )
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicTable.name == table, CubicLoad.schema_id.is_not(None))
            .subquery()
        )
        changed = select(loads).where(loads.c.schema_id != loads.c.schema_id_before).order_by(loads.c.id)
        schemas = _schemas_by_id(connection, table)
        found: list[tuple[LoadSchema, LoadSchema]] = []
        roles: ColumnRoles | None = None
        for row in connection.execute(changed):
            before = LoadSchema(row.id_before, row.s3_key_before, *schemas[row.schema_id_before])
            after = LoadSchema(row.id, row.s3_key, *schemas[row.schema_id])
            roles = before.roles or roles
            found.append((replace(before, roles=roles), replace(after, roles=after.roles or roles)))
        return found

    @reads
    def locations(self, connection: Connection, table: str) -> Mapping[Columns, list[str]]:
        """Return the Springboard keys of a table's loads, by the columns of their files."""
        statement = (
            select(CubicLoad.schema_id, CubicLoad.location)
            .join(CubicTable, CubicTable.id == CubicLoad.table_id)
            .where(CubicTable.name == table, CubicLoad.status.in_(INGESTED), CubicLoad.location.is_not(None))
            .where(CubicLoad.schema_id.is_not(None))
            .order_by(CubicLoad.id)
            .execution_options(yield_per=PAGE_SIZE)  # the keys themselves are enough to hold
        )
        by_id: dict[int, list[str]] = {}
        for schema_id, location in connection.execute(statement):
            by_id.setdefault(schema_id, []).append(location)
        schemas = _schemas_by_id(connection, table)
        found: dict[Columns, list[str]] = {}
        for schema_id, locations in by_id.items():
            found.setdefault(schemas[schema_id][0], []).extend(locations)
        return found

    @reads
    def columns_at(self, connection: Connection, locations: Collection[str]) -> Mapping[str, Columns]:
        """Return the columns of the rows at Springboard keys; a key at which none stand is left out."""
        found: dict[str, Columns] = {}
        texts: dict[str, Columns] = {}
        for page in in_pages(locations):
            statement = (
                select(CubicLoad.location, CubicTableSchema.columns)
                .join(CubicTableSchema, CubicTableSchema.id == CubicLoad.schema_id)
                .where(CubicLoad.location.in_(page), CubicLoad.status.not_in(TO_ERROR))
                .order_by(CubicLoad.id)
            )
            for location, columns in connection.execute(statement).tuples():
                if location is not None:
                    found[location] = (
                        texts[columns] if columns in texts else texts.setdefault(columns, columns_of(columns))
                    )
        return found


def schema_ids(
    connection: Connection, schemas: Collection[tuple[int, Schema]], now: datetime
) -> Mapping[tuple[int, Schema], int]:
    """Record schemas, given with the ids of their tables, that are not on record yet; returns the ids of all."""
    wanted = {(table_id, _fingerprint(schema)): (table_id, schema) for table_id, schema in schemas if schema[0]}
    found = _recorded(connection, wanted)
    missing = [key for key in sorted(wanted) if key not in found]
    if missing:
        rows = [
            {"table_id": key[0], "fingerprint": key[1], "inserted_at": now, **_values(wanted[key][1])}
            for key in missing
        ]
        connection.execute(upsert(connection, CubicTableSchema).on_conflict_do_nothing(), rows)
        found |= _recorded(connection, missing)
    return {wanted[key]: schema_id for key, schema_id in found.items()}


def _schemas_by_id(connection: Connection, table: str) -> Mapping[int, Schema]:
    statement = (
        select(
            CubicTableSchema.id, CubicTableSchema.columns, CubicTableSchema.primary_key, CubicTableSchema.header_columns
        )
        .join(CubicTable, CubicTable.id == CubicTableSchema.table_id)
        .where(CubicTable.name == table)
        .order_by(CubicTableSchema.id)
    )
    return {
        schema_id: (columns_of(columns), _roles_of(key, headers))
        for schema_id, columns, key, headers in connection.execute(statement).tuples()
    }


def _recorded(connection: Connection, keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    wanted = set(keys)
    parameters = {
        "table_ids": list({table_id for table_id, _ in wanted}),
        "fingerprints": list({fingerprint for _, fingerprint in wanted}),
    }
    rows = connection.execute(_RECORDED, parameters)
    found = {(table_id, fingerprint): each for table_id, fingerprint, each in rows}
    return {key: found[key] for key in wanted if key in found}


def _values(schema: Schema) -> dict[str, str | None]:
    columns, roles = schema
    return {
        "columns": _text(columns),
        "primary_key": _names(roles.primary_key) if roles else None,
        "header_columns": _names(roles.headers) if roles else None,
    }


def _text(columns: Sequence[Column]) -> str:
    return json.dumps([[column.name, column.type, column.source_type] for column in columns], ensure_ascii=False)


def columns_of(text: str) -> Columns:
    """Read columns as ``cubic_table_schemas`` keeps them."""
    return tuple(Column(name, kind, source_type=source_type) for name, kind, source_type in json.loads(text))


def _names(columns: Sequence[str]) -> str:
    return json.dumps(columns, ensure_ascii=False)


def _roles_of(key: str | None, headers: str | None) -> ColumnRoles | None:
    if key is None:
        return None
    return ColumnRoles(names_of(key), names_of(headers or "[]"))


def names_of(text: str) -> tuple[str, ...]:
    """Read the names of columns as ``cubic_table_schemas`` keeps them."""
    return tuple(json.loads(text))


def _fingerprint(schema: Schema) -> str:
    columns, roles = schema
    identity = _text(columns) + (f"\n{_names(roles.primary_key)}" if roles else "")
    return hashlib.sha256(identity.encode()).hexdigest()
