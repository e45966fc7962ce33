"""A JSON file, cut into slices of whole records, so that only a little of it is in memory at any time.

A slice of lines ends at the end of a line. A slice of an array ends before a comma between two of its elements, and
gets brackets, so that each slice is an array. Slices are cut by their marks alone: whether the records are sound is
decided where they are parsed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO

from cubic_ingestion.domain.batch import MAX_RECORD_BYTES
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.inflate import empty_file, open_text, read_up_to

MAX_JSON_BYTES = 512 << 20
"""Inflated size that is read: the largest file that the batcher can be set to write."""
SLICE_BYTES = 1 << 20
"""A slice of lines has up to twice as much; only a slice of a single record has more than that."""
SLICE_RECORDS = 8_192

BLANK = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'[\[{](?:[^"\[\]{}]++|%s)*+[\]}]' % _STRING
_NESTED = rb'[\[{](?:[^"\[\]{}]++|%s|%s)*+[\]}]' % (_STRING, _FLAT)
"""An array or object whose elements are flat. Most values are, and so are passed over at once."""
_NEXT_MARK = re.compile(rb'(?:[^"\[\]{},]++|%s|%s)*+([\[\]{},])' % (_STRING, _NESTED), re.DOTALL)
_NEXT_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%s|%s)*+([\[\]{}])' % (_STRING, _NESTED), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some records of a file, one after the other."""

    data: bytes
    """Lines, or one array; no blanks around."""
    n_lines: int
    """Lines that it has, blank ones included; it has no more records than that, unless it is an array."""
    lines_before: int
    """Line ends in the file before the slice."""
    is_large: bool = False
    """It is a single record, and larger than a slice should be."""
    is_part: bool = False
    """It is an array that was cut out of a longer one, and so must have elements."""


def slices(body: BinaryIO) -> Iterator[Slice]:
    """Cut a file into slices; none of them is blank.

    Args:
        body: The file, gzip or plain, at its start.

    Raises:
        RejectedLoadError: ``empty_file``, ``gzip_damaged``, ``gzip_bomb``, ``file_too_large`` or ``record_too_large``.
    """
    source = _Source(open_text(body))
    block = source.read()
    if not block:
        raise empty_file()
    start, lines_before = block.removeprefix(_BYTE_ORDER_MARK).lstrip(BLANK), 0
    while not start and block:
        lines_before += block.count(b"\n")
        block = source.read()
        start = block.lstrip(BLANK)
    lines_before += block.count(b"\n") - start.count(b"\n")
    cut = _array_slices if start.startswith(b"[") else _line_slices
    yield from cut(start, source, lines_before)


def count_fields(record: bytes, most: int) -> int:
    """Count the fields of a record without keeping them, up to one more than ``most``."""
    return 1 + sum(1 for _ in islice(_Marks().commas(record), most))


class _Source:
    """A file's text, block by block, up to the size that a file may have."""

    def __init__(self, text: BinaryIO) -> None:
        self._text = text
        self._n_bytes = 0
        self.is_at_end = False

    def read(self) -> bytes:
        """Return the next block; nothing once it is at its end.

        Raises:
            RejectedLoadError: ``file_too_large``.
        """
        block = b"" if self.is_at_end else read_up_to(self._text, SLICE_BYTES)
        self.is_at_end = len(block) < SLICE_BYTES
        self._n_bytes += len(block)
        if self._n_bytes > MAX_JSON_BYTES:
            raise RejectedLoadError(
                "file_too_large", f"The file has more than {MAX_JSON_BYTES} bytes of JSON. Have it delivered in parts."
            )
        return block


def _record_too_large(row: int) -> RejectedLoadError:
    return RejectedLoadError(
        "record_too_large",
        f"A record has more than {MAX_RECORD_BYTES} bytes. Have the source deliver it in parts.",
        row=row,
    )


def _line_slices(data: bytes, source: _Source, lines_before: int) -> Iterator[Slice]:
    while data or not source.is_at_end:
        end, n_ends = _next_lines(data, is_whole=source.is_at_end)
        if (end or len(data)) > MAX_RECORD_BYTES:
            raise _record_too_large(lines_before + 1)
        if not end:
            data += source.read()
            continue
        lines, data = data[:end], data[end:]
        n_blank = lines.count(b"\n", 0, len(lines) - len(lines.lstrip(BLANK)))
        if lines := lines.strip(BLANK):
            is_large = len(lines) > SLICE_BYTES and b"\n" not in lines
            yield Slice(lines, n_ends + 1, lines_before + n_blank, is_large=is_large)
        lines_before += n_ends


def _next_lines(data: bytes, *, is_whole: bool) -> tuple[int, int]:
    """Say where the next slice ends, 0 if more must be read first; and how many line ends it has."""
    first = data.find(b"\n") + 1
    if first > SLICE_BYTES:
        return first, 1
    end = len(data) if is_whole else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    n_ends = data.count(b"\n", 0, end)
    if n_ends <= SLICE_RECORDS:
        return end, n_ends
    end = 0
    for _ in range(SLICE_RECORDS):
        end = data.index(b"\n", end) + 1
    return end, SLICE_RECORDS


def _array_slices(data: bytes, source: _Source, lines_before: int) -> Iterator[Slice]:
    array = _Array(data, lines_before)
    yield from array.cut()
    while array.is_open and (block := source.read()):
        array.add(block)
        yield from array.cut()
    while block := source.read():
        array.add(block.strip(BLANK)[:1])  # anything behind its end makes the last slice unsound
    yield array.last()


class _Array:
    """An array from which slices are cut; what is left of its text begins with the bracket, or with a comma."""

    def __init__(self, text: bytes, lines_before: int) -> None:
        self._text = text
        self._lines_before = lines_before
        self._marks = _Marks()
        self._n_cut = 0
        self._n_whole = 0
        """Elements that are left and have a comma behind them."""
        self._comma = 0
        """Where the last of those commas stands."""

    @property
    def is_open(self) -> bool:
        """Whether its closing bracket has not come yet."""
        return self._marks.depth > 0

    def add(self, block: bytes) -> None:
        """Take more of the file."""
        self._text += block

    def cut(self) -> Iterator[Slice]:
        """Yield the slices that are whole, but never the last.

        Raises:
            RejectedLoadError: ``record_too_large``.
        """
        begin, end = 0, len(self._text)
        for at in chain(self._marks.commas(self._text), [end]):
            if self._n_whole == SLICE_RECORDS or (self._n_whole and at - begin > SLICE_BYTES):
                yield self._slice(begin, self._comma, b"]")
                self._n_cut += self._n_whole
                begin, self._n_whole = self._comma, 0
            if at < end:
                self._comma, self._n_whole = at, self._n_whole + 1
        self._text = self._text[begin:]
        self._comma -= begin
        self._marks.at -= begin
        if len(self._text) - (self._comma if self._n_whole else 0) > MAX_RECORD_BYTES:
            raise _record_too_large(self._n_cut + self._n_whole + 1)

    def last(self) -> Slice:
        """Return the last slice."""
        return self._slice(0, len(self._text), b"")

    def _slice(self, begin: int, end: int, closing: bytes) -> Slice:
        text = self._text[begin + 1 : end]
        n_ends = text.count(b"\n")
        self._lines_before += n_ends
        return Slice(
            (b"[%s%s" % (text, closing)).rstrip(BLANK),
            n_ends + 1,
            self._lines_before - n_ends,
            is_large=len(text) > SLICE_BYTES and self._n_whole <= 1,
            is_part=self._n_cut > 0 or closing != b"",
        )


class _Marks:
    """Finds the commas between the elements of an array, or the fields of an object, in a text that may still grow."""

    def __init__(self) -> None:
        self.at = len("[")
        """Where the search goes on."""
        self.depth = 1
        """Brackets that are open there; 0 behind the last."""

    def commas(self, text: bytes) -> Iterator[int]:
        """Yield where the next ones stand."""
        while self.depth and (mark := (_NEXT_MARK if self.depth == 1 else _NEXT_BRACKET).match(text, self.at)):
            self.at = mark.end()
            if mark[1] == b",":
                yield self.at - 1
            else:
                self.depth += 1 if mark[1] in b"[{" else -1
