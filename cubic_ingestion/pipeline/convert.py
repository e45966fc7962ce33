"""Convert: cast a batch of text columns to their types, and name every value that does not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.casts import Values, cast_text

MICROSECONDS, NANOSECONDS = "timestamp[us]", "timestamp[ns]"
_MICROSECONDS_LENGTH = len("YYYY-MM-DD HH:MM:SS.ffffff")


class TimestampUnitError(Exception):
    """Columns' timestamps need another unit than the one tried; the file is to be read again with it.

    Attributes:
        types: By column name: ``timestamp[us]`` for a date outside 1677 to 2262, ``timestamp[ns]`` for a digit beyond
            the sixth.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self.types = types
        super().__init__(f"Read again: {', '.join(f'{name} as {to}' for name, to in types.items())}.")


@dataclass(frozen=True, slots=True)
class CastFailure:
    """A value that does not fit its column's type."""

    row: int
    """Data record in the file, counted from 1 without the header."""
    column: str
    """Name in lower case."""
    value: str
    """The text as it stands in the file."""
    type: str
    """The column's type as text."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted batch."""

    rows: pa.RecordBatch
    """Typed. A value named in ``failures`` is NULL here, so rows are sound only where there are no failures."""
    failures: tuple[CastFailure, ...]
    """By row, then in the order of the columns."""


def convert(rows: pa.RecordBatch, columns: Sequence[Column], first_row: int) -> Conversion:
    """Cast text columns to the declared types.

    Args:
        rows: Shape ``(n_rows, n_columns)``, all strings; column by column those of ``columns``, as ``Records`` has it.
        columns: Target columns.
        first_row: Number of the batch's first record in its file; the file's first record is 1.

    Raises:
        TimestampUnitError: A ``timestamp[ns]`` column has a date outside 1677 to 2262, or a ``DATETIME`` whose
            digits the vendor does not state has more than six.
        ValueError: ``rows`` has other columns than ``columns``, or a column's type is none.
    """
    if rows.schema.names != [column.name for column in columns]:
        message = f"The rows have the columns {rows.schema.names}, not those they are to be converted to."
        raise ValueError(message)
    texts = [cast("pa.StringArray", strings) for strings in rows.columns]
    if finer := finer_columns(rows, columns):
        raise TimestampUnitError(dict.fromkeys(finer, NANOSECONDS))
    schema = arrow_schema(columns)
    values: list[Values] = []
    failures: list[CastFailure] = []
    for column, strings, target in zip(columns, texts, schema.types, strict=True):
        outcome = cast_text(strings, target)
        if outcome.is_beyond_nanoseconds:
            raise TimestampUnitError({column.name: MICROSECONDS})
        values.append(outcome.values)
        failures += (
            CastFailure(first_row + at, column.name, strings[at].as_py(), column.type) for at in outcome.failures
        )
    failures.sort(key=lambda failure: failure.row)
    return Conversion(pa.RecordBatch.from_arrays(values, schema=schema), tuple(failures))


def finer_columns(rows: pa.RecordBatch, columns: Sequence[Column]) -> list[str]:
    """Name the ``DATETIME`` columns without stated digits that need nanoseconds; cheaper than to convert and see."""
    pairs = zip(columns, rows.columns, strict=True)
    return [column.name for column, strings in pairs if _is_finer(column, cast("pa.StringArray", strings))]


def _is_finer(column: Column, strings: pa.StringArray) -> bool:
    """Say whether a ``DATETIME`` whose digits the vendor does not state has one beyond the sixth."""
    if column.source_type != "DATETIME" or column.type != MICROSECONDS:
        return False
    if (pc.max(pc.binary_length(strings)).as_py() or 0) <= _MICROSECONDS_LENGTH:
        return False
    beyond = pc.utf8_slice_codeunits(strings, _MICROSECONDS_LENGTH)
    return pc.any(pc.match_substring_regex(beyond, "^[0-9]*[1-9][0-9]*$")).as_py() is True
