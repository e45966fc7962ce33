"""What pyarrow's typed parsing must not be given: looked for in a file's bytes, before it has them.

* ``0x1F`` is an integer to pyarrow, and to no one else here.
* ``1e-999`` as a decimal makes pyarrow (26) read beyond its table of powers: the result is anything, or a crash.

Both are looked for as text that a number could be, with a closing quote anywhere in it, since text behind a closing
quote belongs to the field. What is found in another column, or is none after all, costs only time.

Every byte is looked at by numpy alone, in few and plain comparisons. Most ``e-`` stand in UUIDs and words; the bytes
around rule nearly all of them out, so that the exact but slow look is for the others.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""Bytes of a text as numbers."""

_NEAR = 64
"""Bytes around an exponent that are looked at; a number that goes beyond them is taken for one that matters."""
_PIECE = 1 << 17
"""Bytes compared at a time: few enough to stay in the processor's cache."""
_TO_LOWER = 0x20
_DIGITS, _SIGNS = b"0123456789", b"+-"
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class SuspectError(Exception):
    """A file has what pyarrow's typed parsing must not be given."""


class Watch:
    """Looks through a file's bytes, piece by piece."""

    def __init__(self, quote: str, *, integers: bool, decimals: bool) -> None:
        self._quote = quote.encode()
        maybe = re.escape(self._quote) + b"?" if quote else b""
        self._hexadecimal = re.compile(b"0" + maybe + b"[xX]") if integers else None
        # Neither what stands before nor what follows is part of something longer, as in 550e8400-e29b-41d4-a716-4466.
        parts = [rb"(?:\A|[^0-9A-Za-z+.\-])[+-]?[0-9.]+", rb"[eE]", b"-", b"[0-9]", b"[0-9]"]
        exponent = maybe.join(parts) + b"[0-9]*" + maybe + b"[0-9]*(?![0-9A-Za-z-])"
        self._exponent = re.compile(exponent) if decimals else None
        self._mantissa = _DIGITS + b"." + self._quote
        # What may stand in these places from an e, or a quote behind one, on which a minus follows.
        self._around_exponent = (
            (-1, _among(self._mantissa + b"eE")),
            (2, _among(_DIGITS + self._quote)),
            (3, _among(_DIGITS + self._quote)),
            (-2, ~_among(_LETTERS)),
            (4, ~_among(_LETTERS + b"-")),
        )
        self._last = b""

    def look(self, block: bytes) -> bytes:
        """Look through the next bytes, and return them.

        Raises:
            SuspectError: They are not for typed parsing.
        """
        border = self._last + block[:_NEAR]
        self._last = (self._last + block[-_NEAR:])[-_NEAR:]
        text = np.frombuffer(block, np.uint8)
        if self._hexadecimal and (self._hexadecimal.search(border) or self._has_hexadecimal(text)):
            raise SuspectError
        if self._exponent and (self._exponent.search(border) or self._has_exponent(block, text, self._exponent)):
            raise SuspectError
        return block

    def _has_hexadecimal(self, text: Bytes) -> bool:
        for start in range(0, len(text), _PIECE):
            at = start + np.flatnonzero(text[start : start + _PIECE] | _TO_LOWER == ord("x"))
            before = text.take(at - 1, mode="clip")
            behind_quote = at[_among(self._quote)[before]]
            if (before == ord("0")).any() or (text.take(behind_quote - 2, mode="clip") == ord("0")).any():
                return True
        return False

    def _has_exponent(self, block: bytes, text: Bytes, exponent: re.Pattern[bytes]) -> bool:
        return any(
            exponent.search(block[max(0, at - _NEAR) : at + _NEAR])
            for at in self._maybe_exponents(text)
            if not self._is_longer(block, at)
        )

    def _maybe_exponents(self, text: Bytes) -> Iterator[int]:
        """Find each e, or quote behind one, with a minus behind it, and around it what an exponent may have.

        At the ends of the text, where places are wanting, the nearest byte stands for them; ``look`` sees to those.
        """
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE + 1]
            is_mark = piece[:-1] | _TO_LOWER == ord("e")
            for quote in self._quote:
                is_mark |= piece[:-1] == quote
            is_mark &= piece[1:] == ord("-")
            at = start + np.flatnonzero(is_mark)
            for offset, is_possible in self._around_exponent:
                at = at[is_possible[text.take(at + offset, mode="clip")]]
            yield from at.tolist()

    def _is_longer(self, block: bytes, at: int) -> bool:
        """Say whether digits before an exponent end something longer, such as a UUID; quicker than to search."""
        before = block[max(0, at - _NEAR) : at].rstrip(self._mantissa)
        before = before[: -1 if before[-1:] in _SIGNS else None]
        return before[-1:].isalnum() and before[-1:] not in b"eE"


def _among(characters: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Say of every byte, in its place, whether it is one of some."""
    table = np.zeros(256, np.bool_)
    table[list(characters)] = True
    return table
