"""The types that a column of Parquet has in a table of Athena's, where it has one."""

import re

import pyarrow as pa

_NAMES: tuple[tuple[pa.DataType, str], ...] = (
    (pa.bool_(), "boolean"),
    (pa.int8(), "tinyint"),
    (pa.int16(), "smallint"),
    (pa.int32(), "int"),
    (pa.int64(), "bigint"),
    (pa.float32(), "float"),
    (pa.float64(), "double"),
    (pa.date32(), "date"),
    (pa.timestamp("us"), "timestamp"),
    (pa.timestamp("ms"), "timestamp"),
    (pa.timestamp("ns"), "timestamp"),
    (pa.string(), "string"),
    (pa.binary(), "binary"),
)
"""Names for ``CREATE TABLE``: https://docs.aws.amazon.com/athena/latest/ug/data-types.html. For each, what it is in
Arrow comes first. ``timestamp[s]`` is in Parquet a ``timestamp[ms]``."""

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def athena_type(arrow: pa.DataType) -> str | None:
    """Name a type as Athena does; None if it has no such type: unsigned integers, times of day.

    >>> athena_type(pa.decimal128(19, 4))
    'decimal(19,4)'
    """
    if pa.types.is_decimal128(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if arrow == pa.timestamp("s"):
        return "timestamp"
    return next((name for known, name in _NAMES if known == arrow), None)


def arrow_of_athena(name: str) -> pa.DataType | None:
    """Return the type that Athena's name stands for; None if it is none that this platform gives.

    >>> arrow_of_athena("decimal(19,4)")
    Decimal128Type(decimal128(19, 4))
    """
    if decimal := _DECIMAL.fullmatch(name):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return next((known for known, known_name in _NAMES if known_name == name), None)
