"""What pyarrow's typed parsing must not be given: looked for in a file's bytes, before it has them.

* ``0x1F`` is an integer to pyarrow, and to no one else here.
* ``1e-999`` as a decimal makes pyarrow (26) read beyond its table of powers: the result is anything, or a crash.

Both are looked for as fields that a number could be, with quotes anywhere in it, since text behind a closing quote
belongs to the field. What is found in a column of text, or is no number after all, costs only time.

Vectorscan compares every byte of a file in a tenth of the time that parsing takes.
"""

from functools import lru_cache
from threading import Lock

import hyperscan

_NEAR = 256
"""Bytes looked at on both sides of where two pieces meet. pyarrow refuses a number with as many digits."""
_HALT = True


class SuspectError(Exception):
    """A file has what pyarrow's typed parsing must not be given."""


class Watch:
    """Looks through a file's bytes, piece by piece."""

    def __init__(self, delimiter: str, quote: str, *, integers: bool, decimals: bool) -> None:
        self._suspects = _suspects(delimiter, quote, integers=integers, decimals=decimals)
        self._last = b""

    def look(self, piece: bytes) -> bytes:
        """Look through the next bytes, and return them.

        Raises:
            SuspectError: They are not for typed parsing.
        """
        border = self._last + piece[:_NEAR]
        self._last = (self._last + piece[-_NEAR:])[-_NEAR:]
        if self._suspects.are_in(border) or self._suspects.are_in(piece):
            raise SuspectError
        return piece


class _Suspects:
    """Expressions for what is suspect, compiled."""

    def __init__(self, expressions: list[str]) -> None:
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=[expression.encode() for expression in expressions], flags=hyperscan.HS_FLAG_SINGLEMATCH
        )
        self._lock = Lock()  # its working memory serves one scan at a time

    def are_in(self, text: bytes) -> bool:
        try:
            with self._lock:
                self._database.scan(text, match_event_handler=lambda *_: _HALT)
        except hyperscan.ScanTerminated:
            return True
        return False


@lru_cache(maxsize=64)
def _suspects(delimiter: str, quote: str, *, integers: bool, decimals: bool) -> _Suspects:
    """Compile what is suspect in a dialect. A field begins behind a delimiter or a line end, or before the piece."""
    border = rf"[{_in_class(delimiter)}\r\n]"
    quotes = _in_class(quote)
    maybe_quote = f"[{quotes}]?" if quotes else ""
    begin = rf"(?:^|{border})[ \t{quotes}]*[+-]?{maybe_quote}"
    hexadecimal = rf"{begin}0{maybe_quote}[xX]"
    exponent = rf"[eE]{maybe_quote}-{maybe_quote}[0-9]{maybe_quote}[0-9][0-9{quotes}]*"
    small = rf"{begin}[0-9.{quotes}]+{exponent}[ \t]*(?:{border}|$)"
    return _Suspects([*([hexadecimal] if integers else []), *([small] if decimals else [])])


def _in_class(characters: str) -> str:
    """Write characters so that each stands for itself inside a class."""
    return "".join(f"\\x{byte:02x}" for byte in characters.encode())
