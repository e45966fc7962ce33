"""Which table a record belongs to, and how it stands in that table's files; or why none can take it.

What the reader of a batch would reject is turned away here, one record at a time, so that it does not take the other
records of its file to Error.
"""

import codecs
import json
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from cubic_ingestion.domain.batch import DEAD_LETTERS, MAX_RECORD_BYTES, SEQUENCE_COLUMN, SHARD_COLUMN
from cubic_ingestion.domain.table import MAX_FIELDS, RESERVED_COLUMNS, Table
from cubic_ingestion.errors import RejectedLoadError, UnforeseenError
from cubic_ingestion.parsing.json_fields import record_fields
from cubic_ingestion.pipeline.kafka.cutting import Line
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import Record

_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLANK = b" \t\r\n"
_RESERVED = frozenset({*RESERVED_COLUMNS, SHARD_COLUMN, SEQUENCE_COLUMN})


class DeadLetterReason(StrEnum):
    """Why a record is in no table's file."""

    NOT_UNPACKED = "not_unpacked"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    DUPLICATE_FIELD = "duplicate_field"
    RESERVED_FIELD = "reserved_field"
    TOO_MANY_FIELDS = "too_many_fields"
    RECORD_TOO_LARGE = "record_too_large"
    TOPIC_MISSING = "topic_missing"
    TOPIC_UNDECLARED = "topic_undeclared"
    TOPIC_AMBIGUOUS = "topic_ambiguous"
    UNFORESEEN = "unforeseen"


_BY_CODE = {
    "json_invalid": DeadLetterReason.NOT_JSON,
    "json_not_object": DeadLetterReason.NOT_AN_OBJECT,
    "duplicate_field": DeadLetterReason.DUPLICATE_FIELD,
}


class _DeadLetter(NamedTuple):
    reason: DeadLetterReason
    message: str


class Router:
    """Sorts records by topic.

    Args:
        tables: The declared tables; those with a topic get its records.
    """

    def __init__(self, tables: Collection[Table]) -> None:
        self._topics: dict[tuple[str, ...], dict[str, str]] = {}
        for table in tables:
            if table.topic:
                self._topics.setdefault(tuple(table.topic_path.split(".")), {})[table.topic] = table.name

    def lines(self, shard: str, records: Sequence[Record]) -> Sequence[tuple[str, Line]]:
        """Return each record's table, or ``DEAD_LETTERS``, and its line there, in the same order.

        A byte order mark before a record is left out, as it is in files.
        """
        records = [_unmarked(record) for record in records]
        is_sound = _are_sound([record.data for record in records if not record.problem])
        return [self._line(shard, record, is_sound=is_sound) for record in records]

    def _line(self, shard: str, record: Record, *, is_sound: bool) -> tuple[str, Line]:
        try:
            with last_resort():
                routed = self._routed(record, is_sound=is_sound)
        except UnforeseenError as error:
            routed = _DeadLetter(DeadLetterReason.UNFORESEEN, str(error))
        text = b"" if isinstance(routed, _DeadLetter) else _table_line(shard, record)
        if len(text) > MAX_RECORD_BYTES:
            message = f"Its line has {len(text)} bytes; more than {MAX_RECORD_BYTES} are not read."
            routed = _DeadLetter(DeadLetterReason.RECORD_TOO_LARGE, message)
        if isinstance(routed, _DeadLetter):
            return DEAD_LETTERS, Line(record.position, record.arrived_at, _dead_letter_line(shard, record, routed))
        return routed, Line(record.position, record.arrived_at, text)

    def _routed(self, record: Record, *, is_sound: bool) -> "str | _DeadLetter":
        if record.problem:
            return _DeadLetter(DeadLetterReason.NOT_UNPACKED, record.problem)
        return (None if is_sound else _flaw(record.data)) or self._table(_RECORD.decode(record.data))

    def _table(self, fields: Mapping[str, msgspec.Raw]) -> "str | _DeadLetter":
        values = {path: _value(fields, path) for path in self._topics}
        tables = [self._topics[path][topic] for path, topic in values.items() if topic in self._topics[path]]
        if len(tables) == 1:
            return tables[0]
        if tables:
            message = f"It fits tables {' and '.join(sorted(tables))}."
            return _DeadLetter(DeadLetterReason.TOPIC_AMBIGUOUS, message)
        topics = [topic for topic in values.values() if topic]
        if topics:
            return _DeadLetter(DeadLetterReason.TOPIC_UNDECLARED, f"No table has the topic {topics[0][:200]!r}.")
        paths = ", ".join(repr(".".join(path)) for path in self._topics)
        return _DeadLetter(
            DeadLetterReason.TOPIC_MISSING, f"There is no text at {paths or 'any path: none is declared'}."
        )


def _unmarked(record: Record) -> Record:
    if record.problem or not record.data.startswith(codecs.BOM_UTF8):
        return record
    return record._replace(data=record.data.removeprefix(codecs.BOM_UTF8))


def _are_sound(texts: Sequence[bytes]) -> bool:
    """Say whether many records are all without a flaw; several times as fast as one by one."""
    try:
        with last_resort():
            return _are_plain(texts)
    except UnforeseenError:
        return False  # one of them; one by one it is found


def _are_plain(texts: Sequence[bytes]) -> bool:
    try:
        b"\n".join(texts).decode()
        _, spelled = record_fields(texts)
    except (RejectedLoadError, UnicodeDecodeError):
        return False
    return not _RESERVED & spelled.keys() and len(spelled) <= MAX_FIELDS


def _flaw(text: bytes) -> _DeadLetter | None:
    """Find what keeps a record out of every table."""
    try:
        text.decode()
        _, spelled = record_fields([text])
    except UnicodeDecodeError as error:
        return _DeadLetter(DeadLetterReason.NOT_UTF8, f"Byte {error.start} is no UTF-8.")
    except RejectedLoadError as error:
        where = f" (field {error.column!r})" if error.column else ""
        return _DeadLetter(_BY_CODE[error.code], f"{_WORDS[error.code]}{where}.")
    if taken := _RESERVED & spelled.keys():
        return _DeadLetter(DeadLetterReason.RESERVED_FIELD, f"Field {min(taken)!r} is one that the platform adds.")
    if len(spelled) > MAX_FIELDS:
        message = f"It has {len(spelled)} fields; more than {MAX_FIELDS} are no table's."
        return _DeadLetter(DeadLetterReason.TOO_MANY_FIELDS, message)
    return None


_WORDS = {
    "json_invalid": "It is not JSON",
    "json_not_object": "It is JSON, but no object",
    "duplicate_field": "It has a field more than once, case not counting",
}


def _value(fields: Mapping[str, msgspec.Raw], path: Sequence[str]) -> str | None:
    """Return the text at a path, or None if there is none."""
    here = fields
    try:
        for name in path[:-1]:
            here = _RECORD.decode(here[name])
        return msgspec.json.decode(here[path[-1]], type=str)
    except (KeyError, msgspec.DecodeError):
        return None


def _table_line(shard: str, record: Record) -> bytes:
    """Put the two metadata fields before a record's own, which stay byte for byte, and all on one line.

    Outside its strings, where JSON has none, a line break counts as a blank.
    """
    own = record.data.strip(_BLANK)[1:].lstrip(_BLANK)
    own = own.replace(b"\r", b" ").replace(b"\n", b" ")
    start = f'{{"{SHARD_COLUMN}":"{shard}","{SEQUENCE_COLUMN}":"{record.position}"'.encode()
    return b"%s%s%s\n" % (start, b"" if own == b"}" else b",", own)


def _dead_letter_line(shard: str, record: Record, why: _DeadLetter) -> bytes:
    """Word a dead letter: where it stood, what is wrong, and its bytes in Base64."""
    letter = {
        SHARD_COLUMN: shard,
        SEQUENCE_COLUMN: str(record.position),
        "arrived_at": record.arrived_at.isoformat(),
        "reason": why.reason.value,
        "message": why.message,
        "data": b64encode(record.data).decode(),
    }
    return json.dumps(letter, ensure_ascii=False).encode() + b"\n"
