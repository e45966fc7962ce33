"""What the rows of ``__current`` look like, and the changes that are folded into them: columns, types, and the law."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cubic_ingestion.domain.table import Column, Table, Updates
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.parsing.dfm import HEADER_PREFIX
from cubic_ingestion.parsing.stored_types import stored_schema
from cubic_ingestion.products.law import STAMPS, TOTAL_ORDER, Event, TableLaw
from cubic_ingestion.products.rows import free_names

_SNAPSHOT = pa.field("snapshot", pa.string())
_EVENT_TYPES: Mapping[str, pa.DataType] = {
    Event.OPERATION: pa.string(),
    Event.MASK: pa.string(),
    Event.FILE_TIME: pa.timestamp("us"),
    Event.FILE_NAME: pa.string(),
    Event.ROW_NUMBER: pa.int64(),
}
_LOAD_ROW_TYPES: Mapping[str, pa.DataType] = {
    Event.FILE_TIME: pa.timestamp("us"),
    Event.ROW_NUMBER: pa.int64(),
}


@dataclass(frozen=True)
class Shape:
    """Columns and law of one generation of a table, in the types of Springboard."""

    generation: str
    law: TableLaw
    rows: pa.Schema
    """Columns of a row of ``__current``, without ``snapshot``, which is the same in all rows."""

    @property
    def shown(self) -> pa.Schema:
        """Columns of ``__current``."""
        return pa.schema([*self.rows, _SNAPSHOT])

    @property
    def events(self) -> pa.Schema:
        """Columns of a change."""
        return pa.schema([*self.rows, *(pa.field(name, kind) for name, kind in _EVENT_TYPES.items())])

    @property
    def linking(self) -> pa.Schema:
        """Columns of a change that say which keys moves link."""
        names = dict.fromkeys([*self.law.key, *TOTAL_ORDER, Event.OPERATION, Event.LOAD])
        return pa.schema([self.events.field(name) for name in names])

    @property
    def load_rows(self) -> pa.Schema:
        """Columns of a row of a LOAD file, without ``COUNTER``."""
        names = [*self.law.columns, Event.LOAD]
        own = [self.rows.field(name) for name in names]
        return pa.schema([*own, *(pa.field(name, kind) for name, kind in _LOAD_ROW_TYPES.items())])

    @property
    def key_types(self) -> Sequence[pa.DataType]:
        """Types of the key columns."""
        return [self.rows.field(name).type for name in self.law.key]


def shape_of(
    table: Table,
    generation: str,
    key: Sequence[str],
    own: Iterable[tuple[Column, ...]],
    all_files: Iterable[tuple[Column, ...]],
) -> Shape:
    """Return what the rows of one generation look like.

    Args:
        table: The base table.
        generation: Its snapshot.
        key: Key columns.
        own: Columns that the generation's files have had: they name the columns.
        all_files: Columns that all files of the table and of its change table have had. Types hold what any of them
            has, as in ``__changes``, so that no value from there has to be narrowed.
    """
    named = dict.fromkeys(column.name for columns in own for column in columns if not _is_header(column.name))
    names = list(free_names(named).values())
    schemas = [arrow_schema(columns) for columns in all_files]
    types = common_schema(schemas)
    types = pa.schema(
        [field.with_name(name) for field, name in zip(types, free_names(types.names).values(), strict=True)]
    )
    stamps: dict[str, pa.DataType] = dict(zip(STAMPS, (pa.string(), _stamp_type(schemas), pa.int64()), strict=True))
    fields: list[pa.Field[Any]] = [pa.field(name, types.field(name).type) for name in names]
    rows = pa.schema([*fields, *(pa.field(name, kind) for name, kind in stamps.items())])
    law = TableLaw(tuple(free_names(key).values()), tuple(names), is_full_image=table.updates is Updates.FULL_IMAGE)
    return Shape(generation, law, rows)


def _stamp_type(schemas: Sequence[pa.Schema]) -> pa.DataType:
    """Return the type of ``header__timestamp``. Moments with and without nanoseconds do not unite to text here."""
    kinds = {schema.field(Event.TIMESTAMP).type for schema in schemas if Event.TIMESTAMP in schema.names}
    if kinds <= {pa.timestamp("us"), pa.timestamp("ns")}:
        return pa.timestamp("ns") if pa.timestamp("ns") in kinds else pa.timestamp("us")
    return pa.string()


def partial_files(law: TableLaw, files: Mapping[int, tuple[Column, ...]]) -> dict[int, Sequence[str]]:
    """Return the columns of those files that lack some, or have change masks, by load: what ``TableLaw`` must know."""
    names = {columns: tuple(free_names(column.name for column in columns).values()) for columns in set(files.values())}
    partial = {
        columns: own for columns, own in names.items() if Event.MASK in own or not set(law.columns).issubset(own)
    }
    return {load_id: partial[columns] for load_id, columns in files.items() if columns in partial}


def in_transit(schema: pa.Schema) -> pa.Schema:
    """Return the columns that hold any value of a schema in the types that Iceberg and DuckDB both have."""
    moments = [field.name for field in schema if field.type in {pa.timestamp("ns"), pa.time64("ns")}]
    return stored_schema(schema, moments)


def _is_header(name: str) -> bool:
    return name.startswith(HEADER_PREFIX)
