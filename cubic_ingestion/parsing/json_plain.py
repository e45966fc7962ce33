"""Plain JSON records, read at once: one object a line, without blanks and escapes that need not be, as programs write.

msgspec reads the lines straight into columns' values, several times as fast as field by field. That a record keeps
the last of two fields of one name would go unseen; so the records are written again, and have to come to the length of
the text: whatever is left out, or read otherwise than it stands there, makes that shorter, and nothing makes it longer.
Any slice that is not plain in this sense is read the long way, which also says what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from types import UnionType
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa

from cubic_ingestion.domain.table import Column
from cubic_ingestion.parsing.arrow_types import JSON, arrow_type
from cubic_ingestion.parsing.json_slices import Slice

Values: TypeAlias = "pa.Array[Any] | list[msgspec.Raw]"
"""A column's values: typed, or, where only their text tells what they are, as they stand in the file."""

_FIRST = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_NULL = msgspec.Raw(b"null")
_MAX_NAMES, _MAX_CELLS = 1_000, 1_000_000
_NEVER_PLAIN = {'"', "\\"}
"""What msgspec takes in no field's name."""


@dataclass(frozen=True, slots=True)
class PlainRecords:
    """Records, column by column."""

    n_rows: int
    values: Mapping[str, Values]
    """By name as the file spells it."""


def plain_records(piece: Slice, columns: Sequence[Column], names: Sequence[str] = ()) -> PlainRecords | None:
    """Read records; None if they are not plain, or not sound.

    Args:
        piece: The records.
        columns: Those whose values are parsed into their types; any other stays as it stands in the file.
        names: The fields that records have, as the file spells them; those of the first record if there are none.
    """
    data = piece.data
    try:
        names = names or list(_FIRST.decode(data.partition(b"\n")[0]))
        if _is_too_wide(piece, len(names) + len(columns)):
            return None
        if not all(map(_is_plain_name, names)) or len({name.lower() for name in names}) < len(names):
            return None
        declared = {column.name: column for column in columns}
        kinds = {name: _kind(declared.pop(name.lower(), None)) for name in names}
        kinds |= {column.name: _kind(column) for column in declared.values()}
        records = _decoder(tuple(kinds.items())).decode_lines(data)
        if len(_ENCODER.encode_lines(records)) != len(data) + 1:
            return None
        return PlainRecords(len(records), _by_column(records, kinds))
    except (msgspec.DecodeError, RecursionError, pa.ArrowInvalid, OverflowError):
        return None


def count_plain(piece: Slice, names: Sequence[str]) -> int | None:
    """Count records that have no other fields than those named; None if they may have, or are not plain."""
    if not names or _is_too_wide(piece, len(names)) or not all(map(_is_plain_name, names)):
        return None
    try:
        return len(_decoder(tuple((name, None) for name in names)).decode_lines(piece.data))
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_too_wide(piece: Slice, n_names: int) -> bool:
    """Say whether records would take much memory for fields that most of them lack."""
    return n_names > _MAX_NAMES or n_names * piece.n_lines > _MAX_CELLS


def _is_plain_name(name: str) -> bool:
    return name.isprintable() and name != "" and not _NEVER_PLAIN & {*name}


def _kind(column: Column | None) -> pa.DataType | None:
    """Return the type that a column's values are parsed into; None leaves them as they stand."""
    if column is None or column.type == JSON:
        return None
    to = arrow_type(column.type)
    if pa.types.is_integer(to) or pa.types.is_boolean(to):
        return to
    return None if pa.types.is_decimal(to) or pa.types.is_floating(to) else pa.string()


@lru_cache(maxsize=64)
def _decoder(kinds: tuple[tuple[str, pa.DataType | None], ...]) -> msgspec.json.Decoder[Any]:
    """Make the decoder of records with some fields, each of which may be absent; any other is an error."""
    fields = [
        (_attribute(at), _python_type(kind) | msgspec.UnsetType, msgspec.UNSET) for at, (_, kind) in enumerate(kinds)
    ]
    spelled = {_attribute(at): name for at, (name, _) in enumerate(kinds)}
    record = msgspec.defstruct("Record", fields, rename=spelled, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(record)


def _attribute(at: int) -> str:
    return f"field_{at}"


def _python_type(kind: pa.DataType | None) -> UnionType | type[msgspec.Raw]:
    if kind is None:
        return msgspec.Raw
    return (str if pa.types.is_string(kind) else bool if pa.types.is_boolean(kind) else int) | None


def _by_column(records: Sequence[Any], kinds: Mapping[str, pa.DataType | None]) -> dict[str, Values]:
    """Gather each field's values; a field that no record has is left out."""
    columns: dict[str, Values] = {}
    for at, (name, kind) in enumerate(kinds.items()):
        values: list[Any] = [*map(attrgetter(_attribute(at)), records)]
        if msgspec.UNSET in values:
            nothing = _NULL if kind is None else None
            if all(value is msgspec.UNSET for value in values):
                continue
            values = [nothing if value is msgspec.UNSET else value for value in values]
        columns[name] = values if kind is None else pa.array(values, kind)
    return columns
