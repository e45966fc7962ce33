"""The texts that name a column's type, and what they are in Arrow.

The vendor's own type names are translated in ``qlik_types``.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa

from cubic_ingestion.domain.table import Column

JSON = "json"
"""A string column that holds one JSON text per value, as it came."""

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    JSON: pa.string(),
    "binary": pa.binary(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date32": pa.date32(),
    "time32[s]": pa.time32("s"),
    "time32[ms]": pa.time32("ms"),
    "time64[us]": pa.time64("us"),
    "time64[ns]": pa.time64("ns"),
    "timestamp[s]": pa.timestamp("s"),
    "timestamp[ms]": pa.timestamp("ms"),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[ns]": pa.timestamp("ns"),
}
_DECIMAL = re.compile(r"decimal128\((\d+), ?(\d+)\)")
MAX_DECIMAL_DIGITS = 38
"""Digits a decimal128 holds (Arrow's and Parquet's limit)."""

TYPE_TEXTS: tuple[str, ...] = (*_TYPES, "decimal128(precision, scale)")
"""Every type a column may have, as a declaration writes it."""


@lru_cache(maxsize=1024)
def arrow_type(text: str) -> pa.DataType:
    """Return the Arrow type that a text names.

    >>> arrow_type("decimal128(19, 4)")
    Decimal128Type(decimal128(19, 4))

    Raises:
        ValueError: It names none; the message lists those that may be used.
    """
    if text in _TYPES:
        return _TYPES[text]
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if 1 <= precision <= MAX_DECIMAL_DIGITS and scale <= precision:
            return pa.decimal128(precision, scale)
    message = f"{text!r} is no column type. Use one of: {', '.join(TYPE_TEXTS)}."
    raise ValueError(message)


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the schema that rows of these columns have once they are typed.

    Raises:
        ValueError: A column's type text names no type.
    """
    return pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])
