"""JSON records to rows of text: one column per top-level field, with nothing of a value lost on the way.

The file is an array of objects, or one object a line (blank lines count for nothing). A number keeps its digits, a
string is its text, ``true`` and ``false`` are themselves, ``null`` is NULL, and a nested object or array is its JSON
text as it came. In a column of type ``json`` every value but ``null`` is its JSON text, strings in their quotes.

Two things are no fault and yet noted: a column whose values are of more than one JSON type, and an object within a
value that has a name twice, which readers of that text may take differently (RFC 8259, section 4).
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.arrow_types import JSON
from cubic_ingestion.parsing.inflate import empty_file, open_text, read_up_to
from cubic_ingestion.parsing.json_fields import Fields, record_fields, twice_in_an_object
from cubic_ingestion.parsing.json_plain import PlainRecords, Values, plain_records
from cubic_ingestion.parsing.json_texts import json_text, record_texts
from cubic_ingestion.parsing.matching import Missing, Undeclared, match_columns
from cubic_ingestion.parsing.records import Records

MAX_JSON_BYTES = 512 << 20
"""Inflated size that is read. The columns are known only after the last record, so a file is held in memory."""
BATCH_ROWS = 8_192

_QUOTE, _NULL, _ESCAPE = b'"', b"n", b"\\"
_STRING = msgspec.json.Decoder(str)
_ABSENT = msgspec.Raw(b"null")
_KINDS = {b'"': "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean"}
"""What a value is, by its first byte; ``null`` is nothing, and any other byte begins a number."""
_NESTED = frozenset({"object", "array"})


def read_json(
    body: BinaryIO,
    *,
    columns: Sequence[Column],
    undeclared: Undeclared = "keep",
    missing: Missing = "null",
    typed: bool = False,
) -> Records:
    """Read a JSON file, gzip or plain.

    Args:
        body: The file, at its start.
        columns: Declared columns; names in lower case. Fields are matched in any case; one that a record lacks is
            NULL there.
        undeclared: ``keep`` appends fields that are not declared, as strings, and makes a note; or ``reject``.
        missing: For columns that no record of the file has: ``null``, with a note; or ``reject``.
        typed: Read columns into their types at once where that is exact, which is faster; if not, all is text.

    Returns:
        The records. An empty array is a legal file of no rows, and yields no batch.

    Raises:
        RejectedLoadError: ``empty_file``, ``gzip_damaged``, ``file_too_large``, ``not_utf8``, ``json_invalid``,
            ``json_not_object``, ``duplicate_field``, ``undeclared_column`` or ``missing_column``.
    """
    data = read_up_to(open_text(body), MAX_JSON_BYTES + 1)
    if not data:
        raise empty_file()
    if len(data) > MAX_JSON_BYTES:
        raise RejectedLoadError(
            "file_too_large", f"The file has more than {MAX_JSON_BYTES} bytes of JSON. Have it delivered in parts."
        )
    records = _records(data, columns if typed else ())
    matched = match_columns(
        records.spelled if records.n_rows else [column.name for column in columns],
        columns,
        undeclared=undeclared,
        missing=missing,
    )
    notes = dict(matched.notes)
    return Records(matched.columns, _batches(records, matched.columns, notes), notes=notes)


def _records(data: bytes, columns: Sequence[Column]) -> "_RecordsByField | _RecordsByColumn":
    text = json_text(data)
    plain = plain_records(text, columns)
    return _RecordsByField(*record_fields(record_texts(text))) if plain is None else _RecordsByColumn(plain)


class _RecordsByField:
    """Records that were taken apart one by one."""

    def __init__(self, records: Sequence[Fields], spelled: Mapping[str, str]) -> None:
        self.spelled = spelled
        self.n_rows = len(records)
        self._records = records

    def values(self, column: str, rows: slice) -> Values:
        """Return values of a column; NULL where a record lacks it."""
        name = self.spelled.get(column, column)
        return [record.get(name, _ABSENT) for record in self._records[rows]]


class _RecordsByColumn:
    """Records that were read column by column."""

    def __init__(self, records: PlainRecords) -> None:
        self.spelled = {name.lower(): name for name in records.values}
        self.n_rows = records.n_rows
        self._values = records.values

    def values(self, column: str, rows: slice) -> Values:
        """Return values of a column; NULL if no record has it."""
        name = self.spelled.get(column)
        return self._values[name][rows] if name else [_ABSENT] * len(range(*rows.indices(self.n_rows)))


def _batches(
    records: _RecordsByField | _RecordsByColumn, columns: Sequence[Column], notes: dict[str, str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows, and add the notes that only all of them allow."""
    oddities = [_Oddities(column.name) for column in columns]
    for start in range(0, records.n_rows, BATCH_ROWS):
        values = [records.values(column.name, slice(start, start + BATCH_ROWS)) for column in columns]
        found = [_Texts(some) if isinstance(some, list) else some for some in values]
        pairs = zip(columns, found, strict=True)
        arrays = [
            some.strings(is_json=column.type == JSON) if isinstance(some, _Texts) else some for column, some in pairs
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
        for odd, some in zip(oddities, found, strict=True):
            if isinstance(some, _Texts):
                odd.look(some, first_record=start + 1)
    mixed = [f"{odd.name} ({', '.join(sorted(odd.kinds))})" for odd in oddities if len(odd.kinds) > 1]
    twice = [f"{odd.name} ({odd.twice})" for odd in oddities if odd.twice]
    made = {"mixed_types": ", ".join(mixed), "duplicate_keys": ", ".join(twice)}
    notes |= {key: text for key, text in made.items() if text}


@dataclass(slots=True)
class _Oddities:
    """What is no fault of a column's values, and yet to be noted."""

    name: str
    kinds: set[str] = field(default_factory=set[str])
    twice: str = ""
    """The first name that an object within a value has twice, and where."""

    def look(self, texts: "_Texts", first_record: int) -> None:
        """Look at more values; the number of the first one's record tells where they stand."""
        self.kinds |= texts.kinds
        if not self.twice and texts.kinds & _NESTED and (place := twice_in_an_object(texts.values)):
            at, name = place
            self.twice = f"{name!r} in record {first_record + at}"


class _Texts:
    """The JSON texts of a column's values, and what kinds of values they are."""

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
