"""The parser proper: pyarrow's CSV reader, held to what ``delimited`` promises.

Columns are parsed into their types where ``delimited_types`` knows how. One whose values do not all go that way is
read in the next way it knows, in the end as text.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import csv

from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.delimited_text import Text, source
from cubic_ingestion.parsing.delimited_types import FALSE_VALUES, TEXT, TRUE_VALUES, Finish, Reading
from cubic_ingestion.parsing.delimited_watch import SuspectError, Watch
from cubic_ingestion.parsing.dialect import Dialect

BLOCK_BYTES = (1 << 20, 8 << 20, 64 << 20)
"""Bytes parsed at a time. One MB is the fastest; a file with a record larger than that takes the next."""
MAX_LATE_RESTARTS = 3
"""Times that a file is read again for a value beyond its first block, before all columns are read as text."""

_ROW = re.compile(r"Row #(\d+): ")
_COLUMN = re.compile(r"In CSV column #(\d+): ")
_RAGGED = re.compile(r"Expected (\d+) columns, got (\d+)")
_AGAIN = "Have the vendor deliver the file again."


class BeyondBlockError(Exception):
    """A record does not fit into a block."""


class NotExactError(Exception):
    """Columns cannot be read in the way that was tried."""

    def __init__(self, columns: Collection[str]) -> None:
        self.columns = columns
        super().__init__(", ".join(columns))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file lies, and how its rows are wanted."""

    names: tuple[str, ...]
    """Columns of the file in its order; lower case."""
    wanted: Mapping[str, tuple[Reading, ...]]
    """Columns of the rows, each with the ways to read it, the best first and text last. One that the file lacks is
    NULL. Every column of the file is among them."""
    dialect: Dialect

    def end(self) -> bytes:
        """Return a row with nothing in its fields, with its line end."""
        return f"{self.dialect.delimiter.join([self.dialect.null_value] * len(self.names))}\n".encode()

    def escape(self) -> str:
        """Return the character that takes the next one's meaning; empty if there is none."""
        return self.dialect.escape if self.dialect.escape != self.dialect.quote else ""


class Parser:
    """How a file is parsed at present."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._block_bytes = list(BLOCK_BYTES)
        self._n_late_restarts = 0
        self._ways = {name: list(ways) for name, ways in layout.wanted.items()}
        if layout.escape():
            self._read_as_text(self._watched())  # 0\x1F is one that no Watch sees

    def parse(self, text: Text) -> Iterator[pa.RecordBatch]:
        """Parse a file from its start, with an empty row after the last.

        Raises:
            BeyondBlockError: See ``enlarge_blocks``.
            NotExactError: See ``read_otherwise``.
            RejectedLoadError: The file is not sound.
        """
        try:
            with (
                closing(source(text, self._layout.end(), self._look())) as whole,
                csv.open_csv(whole, *self._options()) as reader,
            ):
                finishes = self._finishes()
                for batch in reader:
                    yield _finished(batch, finishes) if finishes else batch
        except SuspectError as error:
            raise NotExactError(self._watched()) from error
        except pa.ArrowInvalid as error:
            raise self._meaning(str(error)) from error

    def enlarge_blocks(self, n_done: int) -> None:
        """Take the next larger blocks, for the rows after those that are done.

        Raises:
            RejectedLoadError: ``field_too_large``.
        """
        del self._block_bytes[0]
        if not self._block_bytes:
            raise RejectedLoadError(
                "field_too_large",
                f"A record after row {n_done} is larger than {BLOCK_BYTES[-1]} bytes, or a quote there is never "
                f"closed. {_AGAIN}",
            )

    def read_otherwise(self, columns: Collection[str], n_done: int) -> None:
        """Read columns in the next way. After some rows, that costs time, and is not done for ever one by one."""
        for name in columns:
            del self._ways[name][0]
        self._n_late_restarts += n_done > 0
        if self._n_late_restarts == MAX_LATE_RESTARTS:
            self._read_as_text(self._ways)

    def _read_as_text(self, columns: Collection[str]) -> None:
        for name in columns:
            self._ways[name] = [TEXT]

    def _watched(self) -> list[str]:
        """Name the columns that are parsed as integers or decimals."""
        return [*self._parsed_as(pa.types.is_integer), *self._parsed_as(pa.types.is_decimal)]

    def _parsed_as(self, is_type: Callable[[pa.DataType], bool]) -> list[str]:
        return [name for name, ways in self._ways.items() if is_type(ways[0].asked)]

    def _look(self) -> Callable[[bytes], bytes]:
        """Return what looks through the bytes before they are parsed."""
        integers, decimals = self._parsed_as(pa.types.is_integer), self._parsed_as(pa.types.is_decimal)
        if not integers and not decimals:
            return bytes
        dialect = self._layout.dialect
        return Watch(dialect.delimiter, dialect.quote, integers=bool(integers), decimals=bool(decimals)).look

    def _finishes(self) -> list[tuple[int, str, Finish]]:
        """Return what makes the columns' values of those parsed, with the columns' places and names."""
        ways = enumerate(self._ways.items())
        return [(at, name, finish) for at, (name, (way, *_)) in ways if (finish := way.finish)]

    def _options(self) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
        layout, dialect = self._layout, self._layout.dialect
        return (
            csv.ReadOptions(
                use_threads=False,  # the one mode that says which row is wrong
                block_size=self._block_bytes[0],
                column_names=list(layout.names),
                skip_rows_after_names=1,
            ),
            csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                escape_char=layout.escape() or False,
                newlines_in_values=True,
                ignore_empty_lines=len(layout.names) > 1,
            ),
            csv.ConvertOptions(
                column_types={name: ways[0].asked for name, ways in self._ways.items()},
                include_columns=list(self._ways),
                include_missing_columns=True,
                null_values=[dialect.null_value],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=list(TRUE_VALUES),
                false_values=list(FALSE_VALUES),
            ),
        )

    def _meaning(self, problem: str) -> Exception:
        """Say what pyarrow's error means here."""
        if problem.startswith("straddling"):
            return BeyondBlockError()
        found = _COLUMN.match(problem)
        column = self._layout.names[int(found[1])] if found else None
        if column and self._ways[column][0] is not TEXT:
            return NotExactError([column])
        return _rejection(problem, column)


def _finished(batch: pa.RecordBatch, finishes: Iterable[tuple[int, str, Finish]]) -> pa.RecordBatch:
    values = batch.columns
    for at, name, finish in finishes:
        try:
            values[at] = finish(values[at])
        except pa.ArrowInvalid as error:
            raise NotExactError([name]) from error
    return pa.RecordBatch.from_arrays(values, names=batch.schema.names)


def _rejection(problem: str, column: str | None) -> RejectedLoadError:
    """Say in the platform's words what pyarrow found; its rows count the header."""
    found = _ROW.search(problem)
    row = int(found[1]) - 1 if found else None
    ragged = _RAGGED.search(problem)
    if ragged:
        message = f"A record has {ragged[2]} fields, where the header has {ragged[1]}. {_AGAIN}"
        return RejectedLoadError("ragged_row", message, row=row)
    if "invalid UTF8" in problem:
        return RejectedLoadError("not_utf8", f"A value is not UTF-8. {_AGAIN}", row=row, column=column)
    return RejectedLoadError("csv_invalid", f"The file cannot be parsed ({problem[:200]}). {_AGAIN}", row=row)
