"""Convert: bring a batch of columns to their types, and name every value that does not fit.

A column is text, or the reader has parsed it already, and has held it to the same rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.casts import Cast, Values, cast_text
from cubic_ingestion.parsing.delimited_types import is_unit_open

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


class Converter:
    """Brings batches of columns to the declared types.

    Args:
        columns: The columns of the rows.
        may_state_utc: As ``Records`` has it.
    """

    def __init__(self, columns: Sequence[Column], *, may_state_utc: bool = False) -> None:
        self._columns = columns
        self._may_state_utc = may_state_utc
        self._schema = arrow_schema(columns)
        self._has_open_units = any(map(is_unit_open, columns))

    def convert(self, rows: pa.RecordBatch, first_row: int) -> Conversion:
        """Convert one batch.

        Args:
            rows: Shape ``(n_rows, n_columns)``; column by column those of the converter, as ``Records`` has it.
            first_row: Number of the batch's first record in its file; the file's first record is 1.

        Raises:
            TimestampUnitError: A ``timestamp[ns]`` column has a date outside 1677 to 2262, or a ``DATETIME`` whose
                digits the vendor does not state has more than six.
            ValueError: ``rows`` has other columns, a column's type is none, or a column was parsed into a type that it
                is not to have.
        """
        if self._has_open_units and (finer := finer_columns(rows, self._columns)):
            raise TimestampUnitError(dict.fromkeys(finer, NANOSECONDS))
        if rows.schema.equals(self._schema):
            return Conversion(rows, ())
        if rows.schema.names != self._schema.names:
            message = f"The rows have the columns {rows.schema.names}, not those they are to be converted to."
            raise ValueError(message)
        return self._cast(rows, first_row)

    def _cast(self, rows: pa.RecordBatch, first_row: int) -> Conversion:
        values: list[Values] = []
        failures: list[CastFailure] = []
        for column, found, target in zip(self._columns, rows.columns, self._schema.types, strict=True):
            outcome = _outcome(column, found, target, may_state_utc=self._may_state_utc)
            if outcome.is_beyond_nanoseconds:
                raise TimestampUnitError({column.name: MICROSECONDS})
            values.append(outcome.values)
            failures += (
                CastFailure(first_row + at, column.name, found[at].as_py(), column.type) for at in outcome.failures
            )
        failures.sort(key=lambda failure: failure.row)
        return Conversion(pa.RecordBatch.from_arrays(values, schema=self._schema), tuple(failures))


def finer_columns(rows: pa.RecordBatch, columns: Sequence[Column]) -> list[str]:
    """Name the ``DATETIME`` columns without stated digits that need nanoseconds; cheaper than to convert and see."""
    pairs = zip(columns, rows.columns, strict=True)
    return [column.name for column, values in pairs if is_unit_open(column) and _is_finer(values)]


def _outcome(column: Column, values: Values, target: pa.DataType, *, may_state_utc: bool) -> Cast:
    """Cast what is text, and take what has been parsed as it is, in the unit of time that is wanted."""
    if values.type == target:
        return Cast(values)
    if pa.types.is_string(values.type):
        return cast_text(cast("pa.StringArray", values), target, may_state_utc=may_state_utc)
    if not (pa.types.is_timestamp(values.type) and pa.types.is_timestamp(target)):
        message = f"Column '{column.name}' was parsed as {values.type}, and cannot become {target}; read it as text."
        raise ValueError(message)
    try:
        return Cast(pc.cast(values, target))
    except pa.ArrowInvalid:  # no digit is lost here, which finer_columns has seen to
        return Cast(values, is_beyond_nanoseconds=True)


def _is_finer(values: Values) -> bool:
    """Say whether any timestamp has a digit beyond the sixth."""
    if pa.types.is_timestamp(values.type):
        return values.type == pa.timestamp("ns") and _loses_digits(values)
    strings = cast("pa.StringArray", values)
    if (pc.max(pc.binary_length(strings)).as_py() or 0) <= _MICROSECONDS_LENGTH:
        return False
    beyond = pc.utf8_slice_codeunits(strings, _MICROSECONDS_LENGTH)
    return pc.any(pc.match_substring_regex(beyond, "^[0-9]*[1-9][0-9]*$")).as_py() is True


def _loses_digits(nanoseconds: "pa.Array[Any]") -> bool:
    try:
        pc.cast(nanoseconds, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return True
    return False
