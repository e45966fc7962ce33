"""The parser proper: pyarrow's CSV reader, held to what ``delimited`` promises.

pyarrow takes the end of the file for the end of a quoted field that was never closed, and so would swallow all
records after a stray quote. A row of our own is therefore put after the last record: if it does not come out again
as the last row, something has swallowed it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import csv

from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.delimited_text import Text, source
from cubic_ingestion.parsing.dialect import Dialect

BLOCK_BYTES = (1 << 20, 8 << 20, 64 << 20)
"""Bytes parsed at a time. One MB is the fastest; a file with a record larger than that takes the next."""
END = "CubicIngestionEndOfFile"
"""First field of the row put after the last record. Letters only, so that no dialect gives them a meaning."""

_ROW = re.compile(r"Row #(\d+): ")
_COLUMN = re.compile(r"In CSV column #(\d+): ")
_RAGGED = re.compile(r"Expected (\d+) columns, got (\d+)")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file lies, and how its rows are wanted."""

    names: tuple[str, ...]
    """Columns of the file in its order; lower case."""
    wanted: tuple[str, ...]
    """Columns of the rows; one that the file lacks is NULL. Every column of the file is among them."""
    dialect: Dialect

    def end(self) -> bytes:
        """Return the row put after the last record, with its line end."""
        return f"{END}{self.dialect.delimiter * (len(self.names) - 1)}\n".encode()


def read_blocks(text: Text, layout: Layout, again: Callable[[], Text]) -> Iterator[pa.RecordBatch]:
    """Parse a file block by block.

    Args:
        text: The file, header included.
        layout: Its columns.
        again: Opens the file anew, for the next larger block.

    Raises:
        RejectedLoadError: ``ragged_row``, ``not_utf8``, ``unclosed_quote``, ``field_too_large``, ``csv_invalid`` or
            ``gzip_damaged``.
    """
    n_done = 0
    for block_bytes in BLOCK_BYTES:
        try:
            for batch in _after(n_done, _without_end(_parse(text, layout, block_bytes), layout)):
                n_done += batch.num_rows
                yield batch
        except _BeyondBlockError:
            text = again()
        else:
            return
    raise RejectedLoadError(
        "field_too_large",
        f"A record after row {n_done} is larger than {BLOCK_BYTES[-1]} bytes, or a quote there is never closed. "
        "Have the vendor deliver the file again.",
    )


class _BeyondBlockError(Exception):
    """A record does not fit into a block."""


def _parse(text: Text, layout: Layout, block_bytes: int) -> Iterator[pa.RecordBatch]:
    with closing(source(text, layout.end())) as whole:
        try:
            with csv.open_csv(whole, *_options(layout, block_bytes)) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            if str(error).startswith("straddling"):
                raise _BeyondBlockError from error
            raise _rejection(error, layout) from error


def _options(layout: Layout, block_bytes: int) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
    dialect = layout.dialect
    escape = dialect.escape if dialect.escape != dialect.quote else ""
    return (
        csv.ReadOptions(
            use_threads=False,  # the one mode that says which row is wrong
            block_size=block_bytes,
            column_names=list(layout.names),
            skip_rows_after_names=1,
        ),
        csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            escape_char=escape or False,
            newlines_in_values=True,
            ignore_empty_lines=len(layout.names) > 1,
        ),
        csv.ConvertOptions(
            column_types=dict.fromkeys(layout.wanted, pa.string()),
            include_columns=list(layout.wanted),
            include_missing_columns=True,
            null_values=[dialect.null_value],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _without_end(batches: Iterator[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Take the row put after the last record off again."""
    held: pa.RecordBatch | None = None
    n_rows = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        if held is not None:
            yield held
        held = batch
        n_rows += batch.num_rows
    if held is None or held.column(layout.names[0])[-1].as_py() != END:
        raise RejectedLoadError(
            "unclosed_quote",
            "A quote is never closed, so that the records after it cannot be told apart. "
            "Have the vendor deliver the file again.",
            row=n_rows or None,
        )
    if held.num_rows > 1:
        yield held.slice(0, held.num_rows - 1)


def _after(n_done: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Leave out the first rows, which were handed over already."""
    for batch in batches:
        n_skipped = min(n_done, batch.num_rows)
        n_done -= n_skipped
        if n_skipped < batch.num_rows:
            yield batch.slice(n_skipped)


def _rejection(error: pa.ArrowInvalid, layout: Layout) -> RejectedLoadError:
    """Say in the platform's words what pyarrow found; its rows count the header."""
    text = str(error)
    found_row, found_column = _ROW.search(text), _COLUMN.search(text)
    row = int(found_row[1]) - 1 if found_row else None
    column = layout.names[int(found_column[1])] if found_column else None
    again = "Have the vendor deliver the file again."
    ragged = _RAGGED.search(text)
    if ragged:
        return RejectedLoadError(
            "ragged_row", f"A record has {ragged[2]} fields, where the header has {ragged[1]}. {again}", row=row
        )
    if "invalid UTF8" in text:
        return RejectedLoadError("not_utf8", f"A value is not UTF-8. {again}", row=row, column=column)
    return RejectedLoadError("csv_invalid", f"The file cannot be parsed ({text[:200]}). {again}", row=row)
