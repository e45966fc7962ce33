"""Rows of files whose columns have different types, as one table, with the texts that the views have.

A column that only text can hold is cast by DuckDB, here as in the views. Arrow would write some values otherwise:
``1.0`` as ``1``, ``0.00000001`` as ``1E-8``, and ``10:11:12`` as ``10:11:12.000000``.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def reads_as_text(schemas: Iterable[pa.Schema], united: pa.Schema) -> bool:
    """Say whether a column has another type than text in a file, and is text over all of them."""
    kinds = dict(zip(united.names, united.types, strict=True))
    return any(
        _becomes_text(field.type, kinds[field.name]) for schema in schemas for field in schema if field.name in kinds
    )


def united_rows(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Cast the columns of some tables to one schema. A column that a table lacks is NULL."""
    import duckdb  # noqa: PLC0415 - costs 0.3 s, which nobody who does without it should wait for

    with duckdb.connect() as connection:
        return pa.concat_tables([_cast(connection, table, schema) for table in tables]).combine_chunks()


def _cast(connection: "DuckDBPyConnection", table: pa.Table, schema: pa.Schema) -> pa.Table:
    present, nulls = set(table.column_names), pa.nulls(table.num_rows)
    columns = [
        _column(connection, table[name] if name in present else nulls, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(connection: "DuckDBPyConnection", values: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 - an array of any type
    if not _becomes_text(values.type, kind):
        return values.cast(kind)
    rows = connection.from_arrow(pa.Table.from_arrays([values], names=["value"]))
    return rows.project("cast(value as varchar) as value").to_arrow_table()["value"].cast(kind)


def _becomes_text(kind: pa.DataType, united: pa.DataType) -> bool:
    return pa.types.is_string(united) and not pa.types.is_string(kind) and not pa.types.is_null(kind)
