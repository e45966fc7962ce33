"""Which columns pyarrow may parse into their type at once, without a text in between, and what it then accepts.

That is faster by a third than to read text and cast it, but its grammar is its own. A column is read so only where
what comes out is what ``casts`` makes of the same text; whatever pyarrow refuses, or a check here does, is read again
as text, and ``casts`` decides. So this way may accept less than ``casts``, never more and never something else:

* blanks and tabs around numbers, dates and times of day are taken off, ISO forms cut short at zero parts are filled
  up: ``casts`` does the same;
* hexadecimal integers (``0x1F``), and decimals with a negative exponent of two digits or more, cannot be told from the
  values; ``delimited_watch`` looks for them in the file's bytes;
* floats that are not finite, and the year 0, are told from the values;
* decimals are checked for their digits, of which pyarrow checks the text's alone (``12345`` passes for a
  ``decimal128(6, 2)``), and asked for with so few before the point that the scale cannot wrap them around;
* timestamps are read as nanoseconds, which take up to nine digits, then in the column's own unit, which reaches every
  year; a digit that the column's unit cannot hold is no reason to lose it, so such a column is read as text;
* booleans are ``true`` and ``false`` in their usual cases, ``1`` and ``0``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import MAX_DECIMAL_DIGITS, arrow_type
from cubic_ingestion.parsing.cast_rules import Values, refuse_not_finite, refuse_year_0

TRUE_VALUES, FALSE_VALUES = ("true", "1", "TRUE", "True"), ("false", "0", "FALSE", "False")
MICROSECONDS = "timestamp[us]"


Finish: TypeAlias = Callable[[Values], Values]


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to have pyarrow parse a column."""

    asked: pa.DataType
    """The type it is asked for."""
    finish: Finish | None = None
    """Makes of its values the column's; raises ``pa.ArrowInvalid`` where ``casts`` might see it otherwise."""


TEXT = Reading(pa.string())


def readings_for(column: Column) -> tuple[Reading, ...]:
    """Return the ways in which a column may be read, the best first; the last is as text."""
    return (*_typed_readings(arrow_type(column.type), is_unit_open=is_unit_open(column)), TEXT)


def is_unit_open(column: Column) -> bool:
    """Say whether the vendor states no digits for a column of timestamps, so that a file's own digits decide."""
    return column.source_type == "DATETIME" and column.type == MICROSECONDS


@lru_cache(maxsize=1024)
def _typed_readings(to: pa.DataType, *, is_unit_open: bool) -> tuple[Reading, ...]:
    types = pa.types
    if types.is_integer(to) or types.is_boolean(to) or types.is_time(to):
        return (Reading(to),)
    if types.is_floating(to):
        return (Reading(to, partial(_checked, check=refuse_not_finite)),)
    if types.is_date(to):
        return (Reading(to, partial(_checked, check=refuse_year_0)),)
    if isinstance(to, pa.Decimal128Type) and to.scale < MAX_DECIMAL_DIGITS:
        return (Reading(pa.decimal128(MAX_DECIMAL_DIGITS - to.scale, to.scale), partial(pc.cast, target_type=to)),)
    if isinstance(to, pa.TimestampType):
        return _timestamp_readings(to, is_unit_open=is_unit_open)
    return ()


def _timestamp_readings(to: "pa.TimestampType[Any]", *, is_unit_open: bool) -> tuple[Reading, ...]:
    nanoseconds = pa.timestamp("ns")
    if to == nanoseconds:
        return (Reading(nanoseconds),)
    # Where the unit is open, the caller is to see the digits.
    first = Reading(nanoseconds) if is_unit_open else Reading(nanoseconds, partial(pc.cast, target_type=to))
    return (first, Reading(to, partial(_checked, check=refuse_year_0)))


def _checked(values: Values, check: Callable[[Values], None]) -> Values:
    check(values)
    return values
