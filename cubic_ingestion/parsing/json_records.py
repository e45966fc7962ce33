"""JSON records to rows of text: one column per top-level field, with nothing of a value lost on the way.

The file is an array of objects, or one object a line (blank lines count for nothing). A number keeps its digits, a
string is its text, ``true`` and ``false`` are themselves, ``null`` is NULL, and a nested object or array is its JSON
text as it came. In a column of type ``json`` every value but ``null`` is its JSON text, strings in their quotes.
Timestamps may end in ``Z`` or ``+00:00``, which is how JSON says UTC (RFC 3339).

The columns are known only after the last record. A small file is kept in memory until then; any other is read twice,
slice by slice: once for its names, and then for its values (docs/adr/0024).

Two things are no fault and yet noted: a column whose values are of more than one JSON type, and an object within a
value that has a name twice, which readers of that text may take differently (RFC 8259, section 4).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RetriableError
from cubic_ingestion.parsing.json_parser import Rows, SliceParser
from cubic_ingestion.parsing.json_slices import slices
from cubic_ingestion.parsing.matching import Missing, Undeclared, match_columns, refuse_too_many_columns
from cubic_ingestion.parsing.records import Records

KEPT_BYTES = 10 << 20
"""Rows that are kept while the file is read for its names."""


def read_json(
    body: BinaryIO,
    *,
    columns: Sequence[Column],
    undeclared: Undeclared = "keep",
    missing: Missing = "null",
    typed: bool = False,
) -> Records:
    """Read a JSON file, gzip or plain, in bounded memory.

    Args:
        body: The file, at its start; seekable, and open until the last batch has been read.
        columns: Declared columns; names in lower case. Fields are matched in any case; one that a record lacks is
            NULL there.
        undeclared: ``keep`` appends fields that are not declared, as strings, and makes a note; or ``reject``.
        missing: For columns that no record of the file has: ``null``, with a note; or ``reject``.
        typed: Read columns into their types at once where that is exact, which is faster; if not, all is text.

    Returns:
        The records. An empty array is a legal file of no rows, and yields no batch.

    Raises:
        RejectedLoadError: ``empty_file``, ``gzip_damaged``, ``gzip_bomb``, ``file_too_large``, ``record_too_large``,
            ``too_many_columns``, ``undeclared_column`` or ``missing_column``; and, here or while iterating,
            ``not_utf8``, ``json_invalid``, ``json_not_object`` or ``duplicate_field``.
        RetriableError: While iterating: the file was changed between the first time it was read and the second.
    """
    start = body.tell()
    parser = SliceParser(columns, typed=typed)
    kept = _read_ahead(parser, body)
    found = parser.spelled if parser.n_rows else [column.name for column in columns]
    matched = match_columns(found, columns, undeclared=undeclared, missing=missing)
    refuse_too_many_columns(len(matched.columns), parser.n_rows)
    notes = dict(matched.notes)

    def batches() -> Iterator[pa.RecordBatch]:
        again = parser if kept is not None else SliceParser(columns, typed=typed, spelled=parser.spelled)
        for rows in _read_again(again, body, start) if kept is None else _handed_over(kept):
            yield _batch(rows, matched.columns)
        notes.update(again.notes(matched.columns))

    return Records(matched.columns, batches(), notes=notes, may_state_utc=True)


def _read_ahead(parser: SliceParser, body: BinaryIO) -> deque[Rows] | None:
    """Read a file for its names, and keep its rows; None if they are too large to keep."""
    kept: deque[Rows] | None = deque()
    n_bytes = 0
    for piece in slices(body):
        if kept is None:
            parser.learn(piece)
            continue
        for rows in parser.parse(piece):
            n_bytes += rows.size_bytes
            if n_bytes > KEPT_BYTES:
                kept = None
                break
            kept.append(rows)
    return kept


def _handed_over(kept: deque[Rows]) -> Iterator[Rows]:
    while kept:
        yield kept.popleft()


def _read_again(parser: SliceParser, body: BinaryIO, start: int) -> Iterator[Rows]:
    n_names = len(parser.spelled)
    body.seek(start)
    for piece in slices(body):
        for rows in parser.parse(piece):
            if len(parser.spelled) > n_names:
                message = "The file was changed while it was read: it has other fields now. It will be tried again."
                raise RetriableError(message)
            yield rows


def _batch(rows: Rows, columns: Sequence[Column]) -> pa.RecordBatch:
    nothing = pa.nulls(rows.n_rows, pa.string())
    arrays = [rows.columns.get(column.name, nothing) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
