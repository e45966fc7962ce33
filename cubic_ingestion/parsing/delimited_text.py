"""A delimited file's text on its way to the parser: its start, for the header, and then the whole with an end."""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, cast

import pyarrow as pa

from cubic_ingestion.parsing.inflate import InflateLimits, empty_file, open_text, read_up_to

HEAD_BYTES = 960 << 10
"""Inflated bytes read before anything else; a file that is shorter is parsed from memory, in one block."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text, inflated, without byte order mark and blank lines before the header."""

    head: bytes
    """Its start; all of it if it is small."""
    rest: BinaryIO | None
    """What follows; None if nothing does."""


def open_head(body: BinaryIO, limits: InflateLimits) -> Text:
    """Open a file, gzip or plain, and read its start.

    Raises:
        RejectedLoadError: ``empty_file`` or ``gzip_damaged``.
    """
    inflated = open_text(body, limits)
    head = read_up_to(inflated, HEAD_BYTES)
    if not head:
        raise empty_file()
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")
    return Text(start, inflated if len(head) == HEAD_BYTES else None)


def source(text: Text, end: bytes, look: Callable[[bytes], bytes] = bytes) -> BinaryIO:
    """Make a text a source for the parser.

    Args:
        text: The file. Most are small, and need no stream.
        end: What is put after the last record, which gets a line end if it lacks one.
        look: Is handed the text, piece by piece, before the parser has it.
    """
    if text.rest is None:
        return cast("BinaryIO", pa.BufferReader(look(text.head) + _line_end(text.head) + end))
    return cast("BinaryIO", _Stream(text.head, text.rest, end, look))


class _Stream:
    """A text that is too large to hold, put together again and given an end.

    Blocks come full, because pyarrow takes a record for too large that does not end in the block after the one it
    began in; a short block in between would bring that about. But no block ends with a carriage return: pyarrow 26
    drops a line feed at the start of the next, also inside quotes.

    pyarrow reads ahead in a thread of its own, which goes on for a while when its reader is given up. Once closed, the
    stream is at its end, so that no stray read takes bytes from whoever reads the file next.
    """

    def __init__(self, head: bytes, rest: BinaryIO, end: bytes, look: Callable[[bytes], bytes]) -> None:
        self._parts: list[BinaryIO] = [io.BytesIO(head), rest]
        self._end = end
        self._look = look
        self._last = b""
        self._reading = threading.Lock()
        self.closed = False

    def read(self, size: int) -> bytes:
        with self._reading:
            return b"" if self.closed else self._look(self._without_return(self._read(size)))

    def close(self) -> None:
        """Wait for a read that is under way, and allow no more."""
        with self._reading:
            self.closed = True

    def _read(self, size: int) -> bytes:
        blocks: list[bytes] = []
        while size > 0 and self._parts:
            block = read_up_to(self._parts[0], size)
            blocks.append(block)
            size -= len(block)
            self._last = block[-1:] or self._last
            if size > 0:
                self._next_part()
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _next_part(self) -> None:
        del self._parts[0]
        if not self._parts and self._end:
            self._parts = [io.BytesIO(_line_end(self._last) + self._end)]
            self._end = b""

    def _without_return(self, block: bytes) -> bytes:
        """Hold a carriage return at the end back for the next block."""
        if not block.endswith(b"\r") or block == b"\r":
            return block
        self._parts.insert(0, io.BytesIO(b"\r"))
        return block[:-1]


def _line_end(text: bytes) -> bytes:
    """Return what a text's last record lacks of its line end; a carriage return would take any line feed to itself."""
    return b"" if text.endswith(b"\n") else b"\n"
