"""One schema for the rows of several files, whose types drift as the source's do.

The lattice, in which a type only ever moves up (docs/types.md shows it for the vendor's types):

* integers to wider integers; signed and unsigned ones to what holds both, ``decimal128(20, 0)`` at the most;
* integers to decimals, and narrower decimals to wider ones: as many digits before and after the point as any has;
* ``float32`` to ``float64``;
* anything else to ``string``: more than 38 digits, whole numbers and floats (``2**53 + 1`` is no float), and
  ``timestamp[us]`` with ``timestamp[ns]``, since the one reaches the year 9999 and the other has nine digits.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeGuard

import pyarrow as pa

from cubic_ingestion.parsing.arrow_types import MAX_DECIMAL_DIGITS

_SIGNED = {kind.bit_width: kind for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())}
_UNSIGNED = {kind.bit_width: kind for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())}


def common_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Find a schema that holds the values of all, none of them rounded or cut.

    Args:
        schemas: Columns of the files, each name once a file. Their order decides that of the columns, no type.

    Returns:
        All columns in the order in which they first come; where types differ, the lowest that holds all.
    """
    types: dict[str, set[pa.DataType]] = {}
    for field in (field for schema in schemas for field in schema):
        types.setdefault(field.name, set()).add(field.type)
    return pa.schema([(name, _common_type(found - {pa.null()})) for name, found in types.items()])


def have_conflict(schemas: Iterable[pa.Schema]) -> bool:
    """Say whether a column has different types in different files. Engines unite those in ways that lose values."""
    types = {(field.name, field.type) for schema in schemas for field in schema}
    return len(types) > len({name for name, _ in types})


def _common_type(types: Collection[pa.DataType]) -> pa.DataType:
    if len(types) < 2:  # noqa: PLR2004 - none, or one that all files have
        return next(iter(types), pa.null())
    if _are_all(types, pa.types.is_integer):
        return _common_integer(types)
    if _are_all(types, pa.types.is_floating):
        return max(types, key=lambda kind: kind.bit_width)
    if _are_all(types, lambda kind: pa.types.is_integer(kind) or _is_decimal(kind)):
        return _common_decimal(types)
    return pa.string()


def _are_all(types: Collection[pa.DataType], is_kind: Callable[[pa.DataType], bool]) -> bool:
    return all(is_kind(kind) for kind in types)


def _is_decimal(kind: pa.DataType) -> "TypeGuard[pa.Decimal128Type[Any, Any]]":
    return pa.types.is_decimal128(kind)


def _common_integer(types: Collection[pa.DataType]) -> pa.DataType:
    signed = max((kind.bit_width for kind in types if pa.types.is_signed_integer(kind)), default=0)
    unsigned = max((kind.bit_width for kind in types if pa.types.is_unsigned_integer(kind)), default=0)
    if not signed:
        return _UNSIGNED[unsigned]
    return _SIGNED.get(max(signed, 2 * unsigned)) or _common_decimal(types)


def _common_decimal(types: Collection[pa.DataType]) -> pa.DataType:
    sizes = [_digits(kind) for kind in types]
    before, after = (max(digits) for digits in zip(*sizes, strict=True))
    return pa.string() if before + after > MAX_DECIMAL_DIGITS else pa.decimal128(before + after, after)


def _digits(kind: pa.DataType) -> tuple[int, int]:
    """Count a type's digits before and after the point."""
    if _is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return len(str(2 ** (kind.bit_width - pa.types.is_signed_integer(kind)))), 0
