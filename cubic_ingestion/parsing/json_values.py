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

_QUOTE, _NULL = b'"n'
_ESCAPE = b"\\"
_STRING = msgspec.json.Decoder(str)
_KINDS = dict(zip(b'"{[tf', ("string", "object", "array", "boolean", "boolean"), strict=True))
"""What a value is, by its first byte; ``null`` is nothing, and any other byte begins a number."""
_NESTED = frozenset({"object", "array"})


class Texts:
    """JSON texts of values, and what kinds of values they are."""

    def __init__(self, values: Sequence[msgspec.Raw]) -> None:
        self._data = b"".join(values)
        offsets = array("i", accumulate(map(len, values), initial=0))
        self._texts = pa.Array.from_buffers(
            pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(self._data)]
        )
        self.firsts = bytes(map(self._data.__getitem__, offsets[:-1]))
        """The first byte of each, which says what it is."""

    def strings(self, *, is_json: bool) -> pa.StringArray:
        """Return the values as text, strings without their quotes unless they are to be JSON."""
        texts = self._texts if is_json or _QUOTE not in self.firsts else self._unquoted()
        if _NULL in self.firsts:
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

    def _begins_with(self, byte: int) -> pa.BooleanArray:
        firsts = pa.Array.from_buffers(pa.uint8(), len(self.firsts), [None, pa.py_buffer(self.firsts)])
        return pc.equal(firsts, pa.scalar(byte, pa.uint8()))


class LargeTexts:
    """The same of a large record's values, one by one: at once, there would be several copies of all of them."""

    def __init__(self, values: Sequence[msgspec.Raw]) -> None:
        self._values = values
        self.firsts = b"".join(memoryview(value)[:1] for value in values)

    def strings(self, *, is_json: bool) -> pa.StringArray:
        """Return the values as text, strings without their quotes unless they are to be JSON."""
        pairs = zip(self.firsts, self._values, strict=True)
        return pa.array([self._string(first, value, is_json=is_json) for first, value in pairs], pa.string())

    def _string(self, first: int, value: msgspec.Raw, *, is_json: bool) -> str | bytes | None:
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

    def look(self, values: Sequence[msgspec.Raw], firsts: bytes, first_record: int) -> None:
        """Look at more values; the number of the first one's record tells where they stand."""
        kinds = {_KINDS.get(first, "number") for first in {*firsts} - {_NULL}}
        self.kinds |= kinds
        if self.twice or not kinds & _NESTED:
            return
        if large := too_large_to_look_into(values):
            self.unseen = self.unseen or f"record {first_record + min(large)}"
            values = [_NOTHING if at in large else value for at, value in enumerate(values)]
        if place := twice_in_an_object(values):
            at, name = place
            self.twice = f"{name!r} in record {first_record + at}"


_NOTHING = msgspec.Raw(b"null")
