"""Convert: cast a batch of text columns to their types, and name every value that does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow as pa

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.casts import Cast, Values, cast_text

MICROSECONDS, NANOSECONDS = "timestamp[us]", "timestamp[ns]"


class TimestampUnitError(Exception):
    """A column's timestamps need another unit than the one tried; the file is to be read again with it.

    Attributes:
        column: Name in lower case.
        type: ``timestamp[us]`` for a date outside 1677 to 2262, ``timestamp[ns]`` for a digit beyond the sixth.
    """

    def __init__(self, column: str, to: str) -> None:
        self.column = column
        self.type = to
        super().__init__(f"Column {column!r} does not fit; read it as {to}.")


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
    schema = arrow_schema(columns)
    values: list[Values] = []
    failures: list[CastFailure] = []
    for column, strings, target in zip(columns, rows.columns, schema.types, strict=True):
        outcome = cast_text(cast("pa.StringArray", strings), target)
        if outcome.is_beyond_nanoseconds:
            raise TimestampUnitError(column.name, MICROSECONDS)
        if outcome.failures and column.source_type == "DATETIME" and _fit_nanoseconds(strings, outcome):
            raise TimestampUnitError(column.name, NANOSECONDS)
        values.append(outcome.values)
        failures += (
            CastFailure(first_row + at, column.name, strings[at].as_py(), column.type) for at in outcome.failures
        )
    failures.sort(key=lambda failure: failure.row)
    return Conversion(pa.RecordBatch.from_arrays(values, schema=schema), tuple(failures))


def _fit_nanoseconds(strings: Values, outcome: Cast) -> bool:
    """Say whether what did not fit microseconds are sound timestamps with more digits."""
    finer = cast_text(cast("pa.StringArray", strings.take(pa.array(outcome.failures))), pa.timestamp("ns"))
    return not finer.failures
