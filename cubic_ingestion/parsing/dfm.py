"""``.dfm`` sidecars: the JSON that Qlik Replicate writes beside each data file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from cubic_ingestion.domain.table import Column, ColumnRoles
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.dialect import Dialect
from cubic_ingestion.parsing.qlik_types import is_known, qlik_source_type, qlik_type_text

MAX_DFM_BYTES = 16 << 20
"""A sidecar of a table with a thousand columns has about 0.2 MB."""
TEXT_COLUMNS = frozenset({"header__change_seq"})
"""Kept as text whatever type the sidecar gives: 35 digits of fixed width, whose order as text is their order."""

HEADER_PREFIX = "header__"
"""Begins the names of the columns that Qlik adds to a change: ``header__change_seq``, ``header__change_oper``, …"""


@dataclass(frozen=True, slots=True)
class Dfm:
    """What a sidecar says of its data file. The file name in it is not trusted: it is wrong in real ones."""

    columns: tuple[Column, ...]
    """In the sidecar's order, which need not be the file's; names in lower case."""
    dialect: Dialect
    record_count: int | None
    """Records that the vendor wrote, without the header; None if the sidecar does not say."""
    error_count: int
    """Records that the vendor says it could not write; 0 if it says nothing."""
    started_at: datetime | None
    """When the vendor began to write the file, UTC; None if the sidecar leaves it empty."""
    roles: ColumnRoles
    """Which columns are the primary key, and which describe the change."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """What a person should know: columns of unknown type, which it names, kept as strings."""


def parse_dfm(data: bytes) -> Dfm:
    """Read a sidecar.

    Args:
        data: The sidecar's bytes, JSON in UTF-8, at most ``MAX_DFM_BYTES``.

    Raises:
        RejectedLoadError: ``sidecar_invalid``; the message says what is wrong with which field.
    """
    document = _document(data)
    file_info = _object(document, "fileInfo")
    declared = _columns(document)
    columns = tuple(_column(entry) for entry in declared)
    _refuse_duplicates(columns)
    unknown = [f"{entry.name} ({entry.type})" for entry in declared if not is_known(entry.type)]
    return Dfm(
        columns=columns,
        dialect=_dialect(_object(document, "formatInfo")),
        record_count=_count(file_info, "recordCount"),
        error_count=_count(file_info, "errorCount") or 0,
        started_at=_moment(file_info, "startWriteTimestamp"),
        roles=_roles(declared),
        notes={"unknown_types": ", ".join(unknown)} if unknown else {},
    )


@dataclass(frozen=True, slots=True)
class _Declared:
    """One entry of ``dataInfo.columns``; ``ordinal`` is left out, being known as unreliable."""

    name: str
    type: str
    precision: int
    scale: int
    length: int
    key_position: int


def _document(data: bytes) -> Mapping[str, Any]:
    if len(data) > MAX_DFM_BYTES:
        raise _invalid(f"it has {len(data)} bytes, more than the {MAX_DFM_BYTES} that any real one has")
    try:
        document = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(f"it is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise _invalid("it is not a JSON object")
    return cast("dict[str, Any]", document)


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a nested object; one that is absent is empty, and the defaults count."""
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(f"{name} is not an object")
    return cast("dict[str, Any]", value)


def _columns(document: Mapping[str, Any]) -> Sequence[_Declared]:
    entries = _object(document, "dataInfo").get("columns")
    if not isinstance(entries, list) or not entries:
        raise _invalid("dataInfo.columns names no column")
    return [_declared(entry, f"dataInfo.columns[{at}]") for at, entry in enumerate(cast("list[Any]", entries))]


def _declared(entry: object, where: str) -> _Declared:
    if not isinstance(entry, dict):
        raise _invalid(f"{where} is not an object")
    fields = cast("dict[str, Any]", entry)
    for required in ("name", "type"):
        if not isinstance(fields.get(required), str) or not fields[required].strip():
            raise _invalid(f"{where}.{required} is missing or no text")
    numbers = [_integer(fields, name, where) for name in ("precision", "scale", "length", "primaryKeyPos")]
    return _Declared(fields["name"].strip().lower(), fields["type"].strip().upper(), *numbers)


def _integer(fields: Mapping[str, Any], name: str, where: str) -> int:
    value = fields.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid(f"{where}.{name} is {value!r}, where a whole number is needed")
    return value


def _column(declared: _Declared) -> Column:
    type_text = qlik_type_text(declared.type, declared.precision, declared.scale)
    return Column(
        declared.name,
        "string" if declared.name in TEXT_COLUMNS else type_text,
        source_type=qlik_source_type(declared.type, declared.precision, declared.scale, declared.length),
    )


def _roles(declared: Sequence[_Declared]) -> ColumnRoles:
    key = sorted((entry for entry in declared if entry.key_position > 0), key=lambda entry: entry.key_position)
    headers = tuple(entry.name for entry in declared if entry.name.startswith(HEADER_PREFIX))
    return ColumnRoles(tuple(entry.name for entry in key), headers)


def _refuse_duplicates(columns: Sequence[Column]) -> None:
    repeated = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
    if repeated:
        raise _invalid(f"dataInfo.columns names {', '.join(repeated)} more than once (case does not count)")


def _dialect(format_info: Mapping[str, Any]) -> Dialect:
    kind = format_info.get("format")
    if kind not in (None, "", "delimited"):
        raise _invalid(f"formatInfo.format is {kind!r}, where only 'delimited' can be read")
    stated = _object(format_info, "options")
    options: dict[str, str] = {}
    for option, name in _DIALECT_FIELDS.items():
        value = stated.get(option)
        if value is not None and not isinstance(value, str):
            raise _invalid(f"formatInfo.options.{option} is {value!r}, where text is needed")
        if value is not None and (value or name in _MAY_BE_EMPTY):
            options[name] = value
    try:
        dialect = Dialect(**options)
    except ValueError as error:
        raise _invalid(f"formatInfo.options: {error}") from error
    if dialect.delimiter in {dialect.quote, dialect.escape}:
        raise _invalid(f"formatInfo.options gives {dialect.delimiter!r} two meanings, fieldDelimiter's and another")
    return dialect


_DIALECT_FIELDS = {
    "fieldDelimiter": "delimiter",
    "recordDelimiter": "record_delimiter",
    "nullValue": "null_value",
    "quoteChar": "quote",
    "escapeChar": "escape",
}
_MAY_BE_EMPTY = frozenset({"null_value", "quote", "escape"})


def _count(file_info: Mapping[str, Any], name: str) -> int | None:
    value = file_info.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(f"fileInfo.{name} is {value!r}, where a count is needed")
    return value


def _moment(file_info: Mapping[str, Any], name: str) -> datetime | None:
    value = file_info.get(name)
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(f"fileInfo.{name} is {value!r}, where a moment in ISO 8601 is needed") from error


def _invalid(problem: str) -> RejectedLoadError:
    return RejectedLoadError(
        "sidecar_invalid",
        f"The .dfm sidecar cannot be used: {problem}. Have the vendor write the file and its sidecar again.",
    )
