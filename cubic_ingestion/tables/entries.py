"""One declared entry: what it may say, and the tables it stands for."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, cast

from cubic_ingestion.domain.batch import SEQUENCE_COLUMN, SHARD_COLUMN
from cubic_ingestion.domain.feed import ApiKey
from cubic_ingestion.domain.table import (
    RESERVED_COLUMNS,
    Column,
    OnBadValue,
    OnSchemaChange,
    StreamName,
    Table,
    Updates,
)
from cubic_ingestion.errors import DeclarationError
from cubic_ingestion.parsing.arrow_types import arrow_type
from cubic_ingestion.tables.toml_lines import entry_line, key_line

CHANGES = "__ct"
"""Ends the name, and the last folder of the prefix, of an ODS change table."""

_KEYS: Mapping[str, type] = {
    "stream": str,
    "name": str,
    "prefix": str,
    "columns": dict,
    "description": str,
    "is_raw": bool,
    "is_active": bool,
    "on_bad_value": str,
    "on_schema_change": str,
    "max_inflated_bytes": int,
    "max_inflation_ratio": int,
    "topic": str,
    "topic_path": str,
    "feed": str,
    "fresh_within_hours": int,
    "warn_after_hours": int,
    "key": list,
    "updates": str,
    "products": list,
}
_CHOICES: Mapping[str, type[StrEnum]] = {
    "stream": StreamName,
    "on_bad_value": OnBadValue,
    "on_schema_change": OnSchemaChange,
    "updates": Updates,
}
_REQUIRED = ("stream", "name", "prefix")
_COLUMN_KEYS = ("type", "description")
_WORDS: Mapping[type, str] = {
    str: "a text",
    dict: "a section [table.columns]",
    bool: "true or false",
    int: "a whole number above 0",
    list: "a list of texts",
}
_PRODUCTS: Mapping[StreamName, Mapping[str, tuple[str, ...]]] = {
    StreamName.ODS: {"changes": ("changes",), "current": ("changes", "current"), "history": ("changes", "history")},
    StreamName.DMAP: {},
    StreamName.KAFKA: {"events": ("events",)},
}
"""The products that a stream may have, each with those that it is made of."""
_COLUMN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_FEED = re.compile(r"[\w-]+(?:/[\w-]+)*", re.ASCII)
_FOLDERS = re.compile(r"(?:[\w$#-][\w.$#-]*/)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``[[table]]`` of a file, as TOML has it."""

    path: str
    text: str
    """The whole file, to find lines in."""
    index: int
    """Counted from 0 within the file."""
    fields: Mapping[str, Any]

    @property
    def line(self) -> int:
        """Line the entry begins at."""
        return entry_line(self.text, self.index)

    def mistake(self, key: str | None, problem: str, fix: str, *, in_section: bool = False) -> DeclarationError:
        """Name a mistake at the line of a key, or of the entry."""
        line = key_line(self.text, self.index, key, in_section=in_section) if key else self.line
        return DeclarationError(self.path, line, problem, fix)


def mistakes(entry: Entry) -> Iterator[DeclarationError]:
    """Yield all that is wrong with an entry on its own."""
    shape = list(_shape_mistakes(entry))
    yield from shape
    if shape:
        return
    for rule in _RULES:
        yield from rule(entry, StreamName(entry.fields["stream"]))


def tables(entry: Entry) -> list[Table]:
    """Return the tables that an entry without mistakes stands for: for ODS the base table and its change table."""
    chosen = {key: choices(entry.fields[key]) for key, choices in _CHOICES.items() if key in entry.fields}
    columns = tuple(_column(name, column) for name, column in entry.fields.get("columns", {}).items())
    if entry.fields["stream"] == StreamName.KAFKA.value and not entry.fields.get("is_raw", False):
        columns += _KINESIS_COLUMNS
    fields: dict[str, Any] = {**entry.fields, **chosen, "columns": columns, "key": tuple(entry.fields.get("key", ()))}
    if "products" in entry.fields:
        fields["products"] = _with_implied(entry.fields["products"], _PRODUCTS[StreamName(entry.fields["stream"])])
    table = Table(**fields)
    if table.stream is not StreamName.ODS:
        return [table]
    prefix = table.prefix.removesuffix("/") + CHANGES + "/"
    description = f"Changes of {table.name}."
    # What comes again and again are changes; a full load comes when somebody asks for one.
    return [
        replace(table, fresh_within_hours=None, warn_after_hours=None),
        replace(table, name=table.name + CHANGES, prefix=prefix, base=table.name, description=description),
    ]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Word the fix of a name that is not known."""
    close = get_close_matches(word, known, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"Use one of: {', '.join(known)}."


def _with_implied(names: Collection[str], known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    wanted = {implied for name in names for implied in known[name]}
    return tuple(name for name in known if name in wanted)


def _column(name: str, declared: "str | Mapping[str, str]") -> Column:
    return Column(name, declared) if isinstance(declared, str) else Column(name, **declared)


def _shape_mistakes(entry: Entry) -> Iterator[DeclarationError]:
    for key, value in entry.fields.items():
        if key not in _KEYS:
            yield entry.mistake(key, f"{key!r} is no key of a table.", did_you_mean(key, _KEYS))
        elif not _is_of(value, _KEYS[key]):
            yield entry.mistake(key, f"{key!r} is {value!r}.", f"Make it {_WORDS[_KEYS[key]]}.")
    for key in _REQUIRED:
        if key not in entry.fields:
            yield entry.mistake(None, f"The table has no {key!r}.", f"Add one: {key} = ….")
    for key, choices in _CHOICES.items():
        value = entry.fields.get(key)
        if isinstance(value, str) and value not in list(choices):
            yield entry.mistake(key, f"{value!r} is no {key}.", did_you_mean(value, list(choices)))


def _is_of(value: object, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list) and all(isinstance(each, str) for each in cast("list[object]", value))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    return isinstance(value, kind)


def _name_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    name, start = entry.fields["name"], stream.prefix.replace("/", "__")
    if not re.fullmatch(rf"{start}[a-z][a-z0-9]*(?:_{{1,2}}[a-z0-9]+)*", name):
        fix = f"Use '{start}' and then lower-case letters, digits and single underscores."
        yield entry.mistake("name", f"{name!r} is no name of a table of this stream.", fix)
    if stream is StreamName.ODS and name.endswith(CHANGES):
        yield entry.mistake("name", f"{name!r} is a change table.", _CHANGES_COME_ALONG)


def _prefix_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    prefix = entry.fields["prefix"]
    if not prefix.endswith("/"):
        yield entry.mistake("prefix", f"{prefix!r} does not end with '/'.", f"Write '{prefix}/'.")
    elif not prefix.startswith(stream.prefix) or not _FOLDERS.fullmatch(prefix.removeprefix(stream.prefix)):
        fix = f"Use '{stream.prefix}', a folder of letters, digits and any of '_.-$#', and '/'."
        yield entry.mistake("prefix", f"{prefix!r} is no place for tables of stream {stream.value!r}.", fix)
    if stream is StreamName.ODS and prefix.endswith(f"{CHANGES}/"):
        yield entry.mistake("prefix", f"{prefix!r} is the prefix of a change table.", _CHANGES_COME_ALONG)


def _topic_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    for key in ("topic", "topic_path"):
        value = entry.fields.get(key)
        if value is None:
            continue
        if stream is not StreamName.KAFKA:
            yield entry.mistake(key, f"A table of stream {stream.value!r} has a {key!r}.", "Remove it.")
        elif not value or (key == "topic_path" and "" in value.split(".")):
            fix = "Name the topic." if key == "topic" else "Write names separated by dots, as in 'metadata.topic'."
            yield entry.mistake(key, f"{key!r} is {value!r}.", fix)
    if "topic_path" in entry.fields and "topic" not in entry.fields:
        yield entry.mistake("topic_path", "The table has a 'topic_path' and no 'topic'.", "Add one: topic = ….")


def _feed_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    feed, prefix = entry.fields.get("feed"), entry.fields["prefix"]
    if feed is None:
        return
    if stream is not StreamName.DMAP:
        yield entry.mistake("feed", f"A table of stream {stream.value!r} has a 'feed'.", "Remove it.")
        return
    paths = [key.path for key in ApiKey]
    if not any(feed.startswith(path) and _FEED.fullmatch(feed.removeprefix(path)) for path in paths):
        fix = f"Give the path of a feed below {' or '.join(repr(path) for path in paths)}."
        yield entry.mistake("feed", f"{feed!r} is no feed of the vendor's API.", fix)
    if prefix.removeprefix(stream.prefix).count("/") != 1:
        fix = f"Use '{stream.prefix}<type>/', with the vendor's 'id' of the feed's data sets."
        yield entry.mistake("prefix", f"{prefix!r} does not say of which type a feed's data sets are.", fix)


def _freshness_mistakes(entry: Entry, _stream: StreamName) -> Iterator[DeclarationError]:
    warn, fail = entry.fields.get("warn_after_hours"), entry.fields.get("fresh_within_hours")
    if warn is not None and (fail is None or warn >= fail):
        problem = f"A warning after {warn} hours comes before nothing."
        yield entry.mistake("warn_after_hours", problem, "Add a larger fresh_within_hours, or remove it.")


def _key_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    for name in ("key", "updates"):
        if name in entry.fields and stream is not StreamName.ODS:
            yield entry.mistake(name, f"A table of stream {stream.value!r} has {name!r}.", "Remove it.")
    key = entry.fields.get("key")
    if key is None or stream is not StreamName.ODS:
        return
    if not key:
        yield entry.mistake(
            "key", "The key has no columns.", "Name its columns, or remove it; the '.dfm' says it then."
        )
    for name in dict.fromkeys(key):
        for problem, fix in _key_column_mistakes(name, key.count(name)):
            yield entry.mistake("key", problem, fix)


def _key_column_mistakes(name: str, count: int) -> Iterator[tuple[str, str]]:
    if not name or name != name.strip():
        yield f"{name!r} is no name of a column.", "Write it as the '.dfm' does, in lower case."
    elif name != name.lower():
        yield f"Key column {name!r} has capital letters.", f"Write {name.lower()!r}; columns are matched without case."
    elif count > 1:
        yield f"The key has column {name!r} {count} times.", "Name each column once."


def _products_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    names, known = entry.fields.get("products"), _PRODUCTS[stream]
    if names is None:
        return
    if not known:
        yield entry.mistake("products", f"A table of stream {stream.value!r} has 'products'.", "Remove it.")
        return
    for name in names:
        if name not in known:
            problem = f"{name!r} is no product of stream {stream.value!r}."
            yield entry.mistake("products", problem, did_you_mean(name, known))


def _columns_mistakes(entry: Entry, stream: StreamName) -> Iterator[DeclarationError]:
    columns = entry.fields.get("columns", {})
    if stream is StreamName.ODS:
        if "columns" in entry.fields:
            yield entry.mistake(
                "columns", "An ODS table has columns.", "Remove them; the '.dfm' of each file has them."
            )
        return
    if not columns and not entry.fields.get("is_raw", False):
        fix = "Add [table.columns] with one 'name = \"type\"' a line, or is_raw = true."
        yield entry.mistake(None, "The table has no columns.", fix)
    for name, column in columns.items():
        if stream is StreamName.KAFKA and name in (SHARD_COLUMN, SEQUENCE_COLUMN):
            yield entry.mistake(name, f"Every Kafka table has {name!r}.", "Remove it.", in_section=True)
        for problem, fix in (*_column_name_mistakes(name), *_column_mistakes(name, column)):
            yield entry.mistake(name, problem, fix, in_section=True)


def _column_name_mistakes(name: str) -> Iterator[tuple[str, str]]:
    if name in RESERVED_COLUMNS:
        yield f"Column {name!r} is one that Springboard adds.", "Give it another name, or leave it out."
    elif name != name.lower():
        yield f"Column {name!r} has capital letters.", f"Write {name.lower()!r}; columns are matched without case."
    elif not _COLUMN_NAME.fullmatch(name):
        yield f"Column {name!r} is no name of a column.", "Use lower-case letters, digits and underscores."


def _column_mistakes(name: str, column: object) -> Iterator[tuple[str, str]]:
    if isinstance(column, dict):
        yield from _described_column_mistakes(name, cast("dict[str, object]", column))
    elif isinstance(column, str):
        yield from _type_mistakes(name, column)
    elif name in _KEYS:
        yield f"{name!r} is {column!r} among the columns.", "Put it above [table.columns]: what is below is a column."
    else:
        yield f"Column {name!r} is {column!r}.", "Make it a text that names a type."


def _described_column_mistakes(name: str, column: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in column.items():
        if key not in _COLUMN_KEYS:
            yield f"{key!r} of column {name!r} is no key of a column.", did_you_mean(key, _COLUMN_KEYS)
        elif not isinstance(value, str):
            yield f"{key!r} of column {name!r} is {value!r}.", "Make it a text."
        elif key == "type":
            yield from _type_mistakes(name, value)
    if "type" not in column:
        yield f"Column {name!r} has no 'type'.", "Add one: type = …."


def _type_mistakes(name: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        arrow_type(text)
    except ValueError as error:
        yield f"Column {name!r} has no type that is known:", str(error)


_KINESIS_COLUMNS = (
    Column(SHARD_COLUMN, "string", "Shard of the Kinesis stream that the record came by."),
    Column(SEQUENCE_COLUMN, "string", "Its sequence number there; two records with the same of both are one."),
)
_CHANGES_COME_ALONG = "Remove the entry; that of the base table stands for both."
_RULES: tuple[Callable[[Entry, StreamName], Iterator[DeclarationError]], ...] = (
    _name_mistakes,
    _prefix_mistakes,
    _topic_mistakes,
    _feed_mistakes,
    _columns_mistakes,
    _freshness_mistakes,
    _key_mistakes,
    _products_mistakes,
)
