"""Types on the way into Iceberg version 2 and back. No value is lost.

Iceberg version 2 has no nanoseconds, no unsigned integers and no short integers. This module says which Arrow type
stores which, converts rows, and words the SQL that gives back the original type. It knows nothing of Iceberg itself.
"""

from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Values: TypeAlias = "pa.ChunkedArray[Any]"

NANOSECONDS = "__ns"
"""Ending of the companion column with the digits beyond the sixth of a moment, 0 to 999."""
_NS_PER_US = 1_000

_STORED: dict[pa.DataType, pa.DataType] = {
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.time32("s"): pa.time64("us"),
    pa.time32("ms"): pa.time64("us"),
    pa.time64("ns"): pa.time64("us"),
    pa.timestamp("s"): pa.timestamp("us"),
    pa.timestamp("ms"): pa.timestamp("us"),
    pa.timestamp("ns"): pa.timestamp("us"),
    pa.null(): pa.string(),
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
}
"""Types that are stored as another type; all others are stored as they are."""

_DUCKDB: dict[pa.DataType, str] = {
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.timestamp("ns"): "TIMESTAMP_NS",
    pa.time64("ns"): "TIME_NS",
}
"""What DuckDB reads these types as from Parquet. It reads moments in seconds or milliseconds as microseconds."""


def stored_schema(schema: pa.Schema, with_nanoseconds: Collection[str] = ()) -> pa.Schema:
    """Return the columns that store a schema; a companion column follows its column.

    Args:
        schema: Columns in the types of Springboard.
        with_nanoseconds: Columns of ``timestamp[ns]`` or ``time64[ns]`` that get a companion ``<name>__ns``.
    """
    fields: list[pa.Field[Any]] = []
    for field in schema:
        fields.append(pa.field(field.name, _stored_type(field.type)))
        if field.name in with_nanoseconds:
            fields.append(pa.field(field.name + NANOSECONDS, pa.int32()))
    return pa.schema(fields)


def to_stored(table: pa.Table, stored: pa.Schema) -> pa.Table:
    """Convert rows into the columns of a stored schema. A column that the rows lack is NULL.

    Raises:
        pa.ArrowInvalid: A value does not fit: the stored type is too narrow, or a moment has nanoseconds and its
            column has no companion.
    """
    names = set(stored.names)
    columns = [_stored_column(table, field, names) for field in stored]
    return pa.Table.from_arrays(columns, schema=stored)


def from_stored(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give stored rows their original types back. A column that the rows lack is NULL.

    Args:
        table: Rows as ``to_stored`` returns them.
        schema: Columns in the types of Springboard.
    """
    present, nulls = set(table.column_names), pa.nulls(table.num_rows)
    columns = [
        _joined(table[field.name], table[field.name + NANOSECONDS], field.type)
        if field.name + NANOSECONDS in present and _has_nanoseconds(field.type)
        else (table[field.name] if field.name in present else nulls).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def nanosecond_columns(table: pa.Table) -> set[str]:
    """Return the columns that have a value with a digit beyond the sixth."""
    return {
        field.name
        for field, values in zip(table.schema, table.columns, strict=True)
        if _has_nanoseconds(field.type) and _is_any(_split(values)[1])
    }


def original_expression(column: str, original: pa.DataType, *, has_nanoseconds: bool = False) -> str:
    """Return the DuckDB expression that gives a stored column its original type, without an alias.

    Args:
        column: Name of the column.
        original: The column's type in Springboard.
        has_nanoseconds: Whether the column has a companion.
    """
    name = _quoted(column)
    if not has_nanoseconds:
        return f"CAST({name} AS {_DUCKDB[original]})" if original in _DUCKDB else name
    digits = f"coalesce({_quoted(column + NANOSECONDS)}, 0)"
    if pa.types.is_time(original):
        parts = f"hour({name}), minute({name}), second({name}), microsecond({name}) % 1000000, {digits}"
        return f"CAST(format('{{:02d}}:{{:02d}}:{{:02d}}.{{:06d}}{{:03d}}', {parts}) AS TIME_NS)"
    # HUGEINT, because the first microsecond of the range begins before its first nanosecond.
    return f"make_timestamp_ns(CAST(CAST(epoch_us({name}) AS HUGEINT) * {_NS_PER_US} + {digits} AS BIGINT))"


def _stored_type(kind: pa.DataType) -> pa.DataType:
    return _STORED.get(kind, kind)


def _stored_column(table: pa.Table, field: "pa.Field[Any]", stored_names: set[str]) -> "Values | pa.Array[Any]":
    own = field.name.removesuffix(NANOSECONDS)
    if field.name not in table.column_names:
        if own != field.name and own in table.column_names and _has_nanoseconds(table.schema.field(own).type):
            return _split(table.column(own))[1].cast(field.type)
        return pa.nulls(table.num_rows, field.type)
    values = table.column(field.name)
    if not _has_nanoseconds(values.type):
        return values.cast(field.type)
    whole, digits = _split(values)
    if field.name + NANOSECONDS not in stored_names and _is_any(digits):
        raise pa.ArrowInvalid(f"Column '{field.name}' has nanoseconds, and there is no column for them.")
    return whole.cast(field.type)


def _split(values: Values) -> tuple[Values, Values]:
    """Split moments in nanoseconds into whole microseconds, rounded down, and the rest, 0 to 999."""
    wholes: list[pa.Array[Any]] = []
    rests: list[pa.Array[Any]] = []
    whole_type = pa.time64("us") if pa.types.is_time(values.type) else pa.timestamp("us")
    for chunk in values.chunks:
        numbers = chunk.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        whole, rest = np.divmod(numbers, _NS_PER_US)
        missing = chunk.is_null().to_numpy(zero_copy_only=False)
        wholes.append(pa.array(whole, pa.int64(), mask=missing).view(whole_type))
        rests.append(pa.array(rest, pa.int64(), mask=missing))
    return pa.chunked_array(wholes, whole_type), pa.chunked_array(rests, pa.int64())


def _joined(whole: Values, digits: Values, kind: pa.DataType) -> "pa.Array[Any]":
    """Put moments in microseconds and the digits beyond the sixth together."""
    wholes = whole.combine_chunks().view(pa.int64())
    numbers = wholes.fill_null(0).to_numpy(zero_copy_only=False) * _NS_PER_US
    numbers += digits.combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    missing = wholes.is_null().to_numpy(zero_copy_only=False)
    return pa.array(numbers, pa.int64(), mask=missing).view(kind)


def _is_any(digits: Values) -> bool:
    return any(chunk.fill_null(0).to_numpy(zero_copy_only=False).any() for chunk in digits.chunks)


def _has_nanoseconds(kind: pa.DataType) -> bool:
    return kind in {pa.timestamp("ns"), pa.time64("ns")}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
