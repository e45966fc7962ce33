"""The texts of a column's JSON values, as strings, and what is to be noted of them."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.parsing.json_fields import too_large_to_look_into, twice_in_an_object

_QUOTE, _NULL, _ESCAPE = b'"', b"n", b"\\"
_STRING = msgspec.json.Decoder(str)
_KINDS = {b'"': "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean"}
"""What a value is, by its first byte; ``null`` is nothing, and any other byte begins a number."""
_NESTED = frozenset({"object", "array"})


class Texts:
    """The JSON texts of some of a column's values, and what kinds of values they are."""

    def __init__(self, values: Sequence[msgspec.Raw]) -> None:
        self.values = values
        self._data = b"".join(values)
        offsets = pa.py_buffer(array("i", accumulate(map(len, values), initial=0)))
        self._texts = pa.Array.from_buffers(pa.binary(), len(values), [None, offsets, pa.py_buffer(self._data)])
        self._first = pc.binary_slice(self._texts, 0, 1)
        firsts = {first.as_py() for first in pc.unique(self._first)}
        self._has_null = _NULL in firsts
        self.kinds = frozenset(_KINDS.get(first, "number") for first in firsts - {_NULL})

    def strings(self, *, is_json: bool) -> pa.StringArray:
        """Return the values as text, strings without their quotes unless they are to be JSON."""
        texts = self._texts if is_json or "string" not in self.kinds else self._unquoted()
        if self._has_null:
            texts = pc.if_else(self._begins_with(_NULL), pa.scalar(None, pa.binary()), texts)
        return cast("pa.StringArray", texts.cast(pa.string()))

    def _unquoted(self) -> pa.BinaryArray:
        is_string = self._begins_with(_QUOTE)
        texts = cast("pa.BinaryArray", pc.if_else(is_string, pc.binary_slice(self._texts, 1, -1), self._texts))
        if _ESCAPE not in self._data:
            return texts
        is_escaped = pc.and_(is_string, pc.match_substring(self._texts, _ESCAPE.decode()))
        plain = [_STRING.decode(text or b"") for text in self._texts.filter(is_escaped).to_pylist()]
        return pc.replace_with_mask(texts, is_escaped, pa.array(plain, pa.string()).cast(pa.binary()))

    def _begins_with(self, byte: bytes) -> pa.BooleanArray:
        return pc.equal(self._first, pa.scalar(byte))


class LargeTexts:
    """The same of a large record's values, one by one; what ``Texts`` does at once takes several copies of them."""

    def __init__(self, values: Sequence[msgspec.Raw]) -> None:
        self.values = values
        self._firsts = [bytes(memoryview(value)[:1]) for value in values]
        self.kinds = frozenset(_KINDS.get(first, "number") for first in {*self._firsts} - {_NULL})

    def strings(self, *, is_json: bool) -> pa.StringArray:
        """Return the values as text, strings without their quotes unless they are to be JSON."""
        pairs = zip(self._firsts, self.values, strict=True)
        return pa.array([self._string(first, value, is_json=is_json) for first, value in pairs], pa.string())

    def _string(self, first: bytes, value: msgspec.Raw, *, is_json: bool) -> str | bytes | None:
        if first == _NULL:
            return None
        return _STRING.decode(value) if first == _QUOTE and not is_json else bytes(value)


@dataclass(slots=True)
class Oddities:
    """What is no fault of a column's values, and yet to be noted."""

    kinds: set[str] = field(default_factory=set[str])
    twice: str = ""
    """The first name that an object within a value has twice, and where."""
    unseen: str = ""
    """Where the first value stands that was too large to look for such a name."""

    def look(self, texts: Texts | LargeTexts, first_record: int) -> None:
        """Look at more values; the number of the first one's record tells where they stand."""
        self.kinds |= texts.kinds
        if self.twice or not texts.kinds & _NESTED:
            return
        values = texts.values
        if large := too_large_to_look_into(values):
            self.unseen = self.unseen or f"record {first_record + min(large)}"
            values = [_NOTHING if at in large else value for at, value in enumerate(values)]
        if place := twice_in_an_object(values):
            at, name = place
            self.twice = f"{name!r} in record {first_record + at}"


_NOTHING = msgspec.Raw(b"null")
