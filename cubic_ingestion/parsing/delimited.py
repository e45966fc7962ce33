"""Delimited text to rows, strict where the common readers are lenient.

What is read as what:

* columns go by the header's names, in any order and case;
* an unquoted empty field (or the dialect's ``null_value``) is NULL, a quoted one is text;
* text after a closing quote belongs to the field (``"b"x`` is ``bx``), and a quote inside an unquoted field is a
  character like any other: both as Python's ``csv`` has it;
* a blank line is no record, except in a file of one column, where it is a NULL;
* a record with a field too few or too many, bytes that are not UTF-8 and a quote that never closes reject the load.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.delimited_blocks import read_blocks
from cubic_ingestion.parsing.delimited_parser import Layout
from cubic_ingestion.parsing.delimited_text import HEAD_BYTES, Text, open_head
from cubic_ingestion.parsing.delimited_types import TEXT, readings_for
from cubic_ingestion.parsing.dialect import Dialect
from cubic_ingestion.parsing.inflate import InflateLimits
from cubic_ingestion.parsing.matching import Missing, Undeclared, match_columns
from cubic_ingestion.parsing.records import Records

_DEFAULT_DIALECT = Dialect()
_DEFAULT_LIMITS = InflateLimits()


def read_delimited(
    body: BinaryIO,
    *,
    columns: Sequence[Column],
    dialect: Dialect = _DEFAULT_DIALECT,
    undeclared: Undeclared = "keep",
    missing: Missing = "null",
    expected_rows: int | None = None,
    typed: bool = False,
    limits: InflateLimits = _DEFAULT_LIMITS,
) -> Records:
    """Read a delimited file, gzip or plain, in bounded memory.

    Args:
        body: The file, at its start. Must be seekable: a file with a field larger than a block, or with a value that
            cannot be parsed into its type at once, is read again.
        columns: Declared columns; names in lower case.
        dialect: How the file is written.
        undeclared: ``keep`` appends columns that are not declared, as strings, and makes a note; or ``reject``.
        missing: ``null`` fills declared columns that the file lacks, and makes a note; or ``reject``.
        expected_rows: Record count that the vendor states, handed on.
        typed: Parse columns into their types at once where that is exact, which is faster; if not, all is text.
        limits: How far the file may inflate.

    Returns:
        The records; the rows are parsed while they are iterated, before which ``body`` must not be closed.
        A header without records is a legal file of no rows, and yields no batch.

    Raises:
        RejectedLoadError: ``empty_file``, ``gzip_damaged``, ``header_invalid``, ``duplicate_column``, ``not_utf8``,
            ``undeclared_column`` or ``missing_column``; and while iterating ``ragged_row``, ``not_utf8``,
            ``unclosed_quote``, ``field_too_large``, ``csv_invalid``, ``gzip_damaged`` or ``gzip_bomb``.
    """
    file = _File(body, limits)
    names = _header(file.head, dialect, is_whole=file.is_whole)
    matched = match_columns(names, columns, undeclared=undeclared, missing=missing)

    ways = {column.name: readings_for(column) if typed else (TEXT,) for column in matched.columns}
    batches = read_blocks(Layout(names, ways, dialect), file.opened)
    return Records(matched.columns, batches, expected_rows, notes=matched.notes)


class _File:
    """A file that is opened once for its header, and then as often as it is read."""

    def __init__(self, body: BinaryIO, limits: InflateLimits) -> None:
        self._body = body
        self._limits = limits
        self._start = body.tell()
        text = open_head(body, limits)
        self._text: Text | None = text
        self.head = text.head
        self.is_whole = text.rest is None

    def opened(self) -> Text:
        """Return the text from its start; the first time, as it was opened for the header."""
        text, self._text = self._text, None
        if text is not None:
            return text
        self._body.seek(self._start)
        return open_head(self._body, self._limits)


def _header(head: bytes, dialect: Dialect, *, is_whole: bool) -> tuple[str, ...]:
    """Read the column names, in lower case, in the file's order.

    Args:
        head: The file's start.
        dialect: How it is written.
        is_whole: There is no more of the file.
    """
    text = io.TextIOWrapper(
        io.BytesIO(head),
        encoding="utf-8",
        errors="surrogateescape",
        newline="",
    )
    reader = csv.reader(
        text,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        escapechar=dialect.escape if dialect.escape != dialect.quote and dialect.escape else None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )
    try:
        names = tuple(name.strip().lower() for name in next(reader, []))
    except csv.Error as error:
        raise _header_invalid(f"cannot be read ({error})") from error
    if not is_whole and not text.read(1):
        raise _header_invalid(f"has more than {HEAD_BYTES} bytes")
    _check_names(names)
    return names


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise _header_invalid("is missing")
    for name in names:
        if not name.isprintable():
            _refuse_unprintable(name)
        if not name:
            raise _header_invalid("has a column without a name")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise RejectedLoadError(
            "duplicate_column",
            f"The header names {', '.join(repeated)} more than once (case does not count). "
            "Have the vendor deliver the file again.",
            column=repeated[0],
        )


def _refuse_unprintable(name: str) -> None:
    if any("\udc80" <= character <= "\udcff" for character in name):
        raise RejectedLoadError("not_utf8", "The header is not UTF-8. Have the vendor deliver the file again.")
    raise _header_invalid(f"has a column named {name[:80]!r}, with characters that no name has")


def _header_invalid(problem: str) -> RejectedLoadError:
    return RejectedLoadError("header_invalid", f"The header {problem}. Have the vendor deliver the file again.")
