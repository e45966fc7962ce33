"""One schema for the rows of several files, whose types drift as the source's do."""

from collections.abc import Iterable

import pyarrow as pa

_WIDENED_WITHIN = (
    pa.types.is_signed_integer,
    pa.types.is_unsigned_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
)
_MOST_DIGITS = 38


def common_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Find a schema that holds the values of all, none of them rounded or cut.

    Args:
        schemas: Columns of the files, each name once a file.

    Returns:
        All columns in the order in which they first come. Where types differ, the wider of one kind; text where
        neither holds the other, which ``timestamp[ns]`` (to the year 2262) and ``timestamp[us]`` are a case of.
    """
    types: dict[str, pa.DataType] = {}
    for field in (field for schema in schemas for field in schema):
        types[field.name] = _common_type(types[field.name], field.type) if field.name in types else field.type
    return pa.schema(list(types.items()))


def _common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if not any(is_kind(one) and is_kind(other) for is_kind in _WIDENED_WITHIN):
        return pa.string()
    schemas = [pa.schema([("value", kind)]) for kind in (one, other)]
    wider = pa.unify_schemas(schemas, promote_options="permissive").field("value").type
    return pa.string() if pa.types.is_decimal(wider) and wider.precision > _MOST_DIGITS else wider
