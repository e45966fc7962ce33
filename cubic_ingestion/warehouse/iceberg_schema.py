"""Columns in Arrow and in Iceberg, and how a table's columns may change."""

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from cubic_ingestion.ports import UnpromotableError

_FIELD_ID = b"PARQUET:field_id"

_ICEBERG: Mapping[pa.DataType, IcebergType] = {
    pa.bool_(): BooleanType(),
    pa.int32(): IntegerType(),
    pa.int64(): LongType(),
    pa.float32(): FloatType(),
    pa.float64(): DoubleType(),
    pa.date32(): DateType(),
    pa.time64("us"): TimeType(),
    pa.timestamp("us"): TimestampType(),
    pa.timestamp("us", "UTC"): TimestamptzType(),
    pa.string(): StringType(),
    pa.binary(): BinaryType(),
}
_ARROW: Mapping[IcebergType, pa.DataType] = {iceberg: arrow for arrow, iceberg in _ICEBERG.items()}
_PROMOTIONS = frozenset({(pa.int32(), pa.int64()), (pa.float32(), pa.float64())})


def new_schema(columns: pa.Schema) -> Schema:
    """Return the Iceberg schema of a new table. All columns may be NULL.

    Raises:
        ValueError: A type cannot be stored.
    """
    return Schema(*(_field(number, field) for number, field in enumerate(columns, start=1)))


def arrow_schema(schema: Schema, *, with_field_ids: bool = False) -> pa.Schema:
    """Return the Arrow schema of an Iceberg schema.

    Args:
        schema: Columns in Iceberg.
        with_field_ids: Whether pyarrow writes Iceberg's field ids into a Parquet file of this schema.
    """
    return pa.schema(
        [
            pa.field(
                field.name,
                _arrow_type(field.field_type),
                metadata={_FIELD_ID: str(field.field_id).encode()} if with_field_ids else None,
            )
            for field in schema.fields
        ]
    )


def evolved_columns(current: Schema, last_id: int, wanted: pa.Schema) -> tuple[NestedField, ...]:
    """Return the columns with the wanted ones added, and types widened as Iceberg can promote them.

    The same arguments always give the same field ids, so that files can be written before the schema is committed.

    Args:
        current: The table's schema.
        last_id: The highest field id that the table has ever used.
        wanted: Columns. Those of the current schema that it lacks stay as they are.

    Raises:
        UnpromotableError: Iceberg cannot promote a column's type to the wanted type.
        ValueError: A type cannot be stored.
    """
    fields: list[NestedField] = []
    for field in current.fields:
        if field.name in wanted.names:
            known, target = _arrow_type(field.field_type), wanted.field(field.name).type
            if not _is_promotable(known, target):
                raise UnpromotableError(field.name, str(known), str(target))
            fields.append(_field(field.field_id, wanted.field(field.name)))
        else:
            fields.append(field)
    known_names = {field.name for field in current.fields}
    added = [column for column in wanted if column.name not in known_names]
    fields += [_field(number, column) for number, column in enumerate(added, start=last_id + 1)]
    return tuple(fields)


def replaced_columns(
    current: Schema, last_id: int, wanted: pa.Schema, fixed: Collection[int] = ()
) -> tuple[NestedField, ...]:
    """Return exactly the wanted columns. A column whose type is not a promotion gets a new field id.

    To Iceberg such a column is another one, so that no file of an older snapshot is read with the new type.

    Args:
        current: The table's schema.
        last_id: The highest field id that the table has ever used.
        wanted: All columns from now on.
        fixed: Field ids that must stay, because the table is partitioned by these columns.

    Raises:
        UnpromotableError: A column that must stay would be removed or get a new field id.
        ValueError: A type cannot be stored.
    """
    known = {field.name: field for field in current.fields}
    fields: list[NestedField] = []
    for column in wanted:
        old = known.get(column.name)
        if old is not None and _is_promotable(_arrow_type(old.field_type), column.type):
            fields.append(_field(old.field_id, column))
        else:
            last_id += 1
            fields.append(_field(last_id, column))
    for field_id in fixed:
        if field_id not in {field.field_id for field in fields}:
            column = current.find_field(field_id)
            target = wanted.field(column.name).type if column.name in wanted.names else "no column"
            raise UnpromotableError(column.name, str(_arrow_type(column.field_type)), str(target))
    return tuple(fields)


def _is_promotable(known: pa.DataType, target: pa.DataType) -> bool:
    """Say whether Iceberg version 2 can promote a type. pyiceberg 0.12 also lets a decimal change its scale."""
    if pa.types.is_decimal(known) and pa.types.is_decimal(target):
        return known.scale == target.scale and known.precision <= target.precision
    return known == target or (known, target) in _PROMOTIONS


def _field(field_id: int, column: "pa.Field[Any]") -> NestedField:
    return NestedField(field_id, column.name, _iceberg_type(column), required=False)


def _iceberg_type(column: "pa.Field[Any]") -> IcebergType:
    if pa.types.is_decimal128(column.type) and column.type.scale >= 0:
        return DecimalType(column.type.precision, column.type.scale)
    if column.type not in _ICEBERG:
        raise ValueError(f"Column '{column.name}' has type {column.type}, which the warehouse cannot store.")
    return _ICEBERG[column.type]


def _arrow_type(kind: IcebergType) -> pa.DataType:
    return pa.decimal128(kind.precision, kind.scale) if isinstance(kind, DecimalType) else _ARROW[kind]
