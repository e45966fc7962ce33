"""JSON records to rows of text: one column per top-level field, with nothing of a value lost on the way.

The file is an array of objects, or one object a line (blank lines count for nothing). A number keeps its digits, a
string is its text, ``true`` and ``false`` are themselves, ``null`` is NULL, and a nested object or array is its JSON
text as it came. In a column of type ``json`` every value but ``null`` is its JSON text, strings in their quotes.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import msgspec
import pyarrow as pa

from cubic_ingestion.domain.table import Column
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.arrow_types import JSON
from cubic_ingestion.parsing.inflate import empty_file, open_text, read_up_to
from cubic_ingestion.parsing.json_texts import json_invalid, record_texts
from cubic_ingestion.parsing.matching import Missing, Undeclared, match_columns
from cubic_ingestion.parsing.records import Records

MAX_JSON_BYTES = 512 << 20
"""Inflated size that is read. The columns are known only after the last record, so a file is held in memory."""
BATCH_ROWS = 8_192

_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_QUOTE = ord('"')

Fields = Mapping[str, msgspec.Raw]
"""A record: the JSON text of each of its fields, by name in lower case."""


def read_json(
    body: BinaryIO, *, columns: Sequence[Column], undeclared: Undeclared = "keep", missing: Missing = "null"
) -> Records:
    """Read a JSON file, gzip or plain.

    Args:
        body: The file, at its start.
        columns: Declared columns; names in lower case. Fields are matched in any case; one that a record lacks is
            NULL there.
        undeclared: ``keep`` appends fields that are not declared, as strings, and makes a note; or ``reject``.
        missing: For columns that no record of the file has: ``null``, with a note; or ``reject``.

    Returns:
        The records, all text. An empty array is a legal file of no rows, and yields no batch.

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
    records = [_fields(text, row) for row, text in enumerate(record_texts(data), start=1)]
    found = dict.fromkeys(name for record in records for name in record)
    matched = match_columns(
        found if records else [column.name for column in columns], columns, undeclared=undeclared, missing=missing
    )
    return Records(matched.columns, _batches(records, matched.columns), notes=matched.notes)


def _fields(text: bytes | msgspec.Raw, row: int) -> Fields:
    """Take a record apart into its top-level fields."""
    try:
        record = _RECORD.decode(text)
        n_fields = json.loads(bytes(text), object_pairs_hook=len, parse_int=len, parse_float=len)
    except msgspec.ValidationError as error:
        raise RejectedLoadError(
            "json_not_object",
            "A record is not a JSON object. Have the source deliver the file again.",
            row=row,
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise json_invalid(str(error), row) from error
    fields = {name.lower(): value for name, value in record.items()}
    if len(fields) != n_fields:
        raise _duplicate_field(bytes(text), row)
    if "" in fields:
        raise json_invalid("a field has no name", row)
    return fields


def _duplicate_field(text: bytes, row: int) -> RejectedLoadError:
    """Word the rejection of a record with two fields of one name."""
    names = json.loads(
        text,
        object_pairs_hook=lambda pairs: [name.lower() for name, _ in pairs],
        parse_int=len,
        parse_float=len,
    )
    [(name, _)] = Counter(names).most_common(1)
    return RejectedLoadError(
        "duplicate_field",
        "A record has a field more than once (case does not count). Have the source deliver the file again.",
        row=row,
        column=name,
    )


def _batches(records: Sequence[Fields], columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([pa.field(column.name, pa.string()) for column in columns])
    for start in range(0, len(records), BATCH_ROWS):
        some = records[start : start + BATCH_ROWS]
        arrays = [
            pa.array([_text(record.get(column.name), is_json=column.type == JSON) for record in some], pa.string())
            for column in columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _text(value: msgspec.Raw | None, *, is_json: bool) -> str | None:
    if value is None:
        return None
    view = memoryview(value)
    if view[0] == _QUOTE and not is_json:
        return _STRING.decode(value)
    text = str(view, "utf-8")
    return None if text == "null" else text
