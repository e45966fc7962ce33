"""The declared tables of all files, and everything that is wrong with them."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import DeclarationError, FatalError
from cubic_ingestion.tables.entries import Entry, did_you_mean, mistakes, tables
from cubic_ingestion.tables.toml_lines import top_level_line

SHIPPED = Path(__file__).parent
"""The folder of the declarations that come with the project."""

_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_BRACKETS = "Begin each table with a line '[[table]]', in two pairs of brackets."


@dataclass(frozen=True, slots=True)
class _Declared:
    table: Table
    entry: Entry

    @property
    def where(self) -> str:
        return f"{self.entry.path}:{self.entry.line}"


def load_tables(extra_dir: Path | None = None) -> Mapping[str, Table]:
    """Return all declared tables by name, in the order of their names.

    Args:
        extra_dir: A folder with further declarations.

    Raises:
        DeclarationError: A declaration is not sound.
        FatalError: Several are not; all are named.
    """
    declared, errors = _read([SHIPPED] if extra_dir is None else [SHIPPED, extra_dir])
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise FatalError("\n".join(str(error) for error in errors))
    return {one.table.name: one.table for one in sorted(declared, key=lambda one: one.table.name)}


def check_tables(dirs: Iterable[Path] = (SHIPPED,)) -> list[DeclarationError]:
    """Return everything that is wrong with the declarations of some folders, taken together."""
    return _read(dirs)[1]


def _read(dirs: Iterable[Path]) -> tuple[list[_Declared], list[DeclarationError]]:
    entries: list[Entry] = []
    errors: list[DeclarationError] = []
    for folder in dirs:
        for path in _files(folder, errors):
            entries += _entries(path, errors)
    declared: list[_Declared] = []
    for entry in entries:
        if found := list(mistakes(entry)):
            errors += found
        else:
            declared += [_Declared(table, entry) for table in tables(entry)]
    return declared, errors + list(_clashes(declared))


def _files(folder: Path, errors: list[DeclarationError]) -> Sequence[Path]:
    if not folder.is_dir():
        fix = "Make the folder, or correct CUBIC_TABLES_DIR."
        errors.append(DeclarationError(str(folder), 1, "There is no such folder.", fix))
    return sorted(folder.glob("*.toml"))


def _entries(path: Path, errors: list[DeclarationError]) -> Sequence[Entry]:
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        errors.append(DeclarationError(str(path), line, "The text is not UTF-8.", "Save the file as UTF-8."))
        return ()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        errors.append(_syntax_mistake(path, text, str(error)))
        return ()
    for key in sorted(document.keys() - {"table"}):
        fix = did_you_mean(key, ["table"])
        errors.append(DeclarationError(str(path), top_level_line(text, key), f"{key!r} is not known here.", fix))
    found: object = document.get("table", [])
    if not isinstance(found, list) or not all(isinstance(fields, dict) for fields in cast("list[object]", found)):
        errors.append(DeclarationError(str(path), top_level_line(text, "table"), "'table' is no list.", _BRACKETS))
        return ()
    return [Entry(str(path), text, index, fields) for index, fields in enumerate(cast("list[dict[str, Any]]", found))]


def _syntax_mistake(path: Path, text: str, message: str) -> DeclarationError:
    where = _LINE.search(message)
    line = int(where[1]) if where and where[1] else text.count("\n") + 1
    is_twice = "overwrite" in message or "twice" in message
    fix = "The same name stands there twice; remove one." if is_twice else "Correct it; see https://toml.io."
    return DeclarationError(str(path), line, f"This is not TOML: {_LINE.sub('', message).strip()}.", fix)


def _clashes(declared: Sequence[_Declared]) -> Iterator[DeclarationError]:
    names: dict[str, _Declared] = {}
    prefixes: dict[str, _Declared] = {}
    for one in declared:
        if one.table.base:  # clashes wherever its base table does
            continue
        for key, value, taken in (("name", one.table.name, names), ("prefix", one.table.prefix, prefixes)):
            other = taken.setdefault(value, one)
            if other is not one:
                yield one.entry.mistake(key, f"{value!r} is declared at {other.where} already.", "Remove one of them.")
    yield from _same_topics(declared)
    yield from _same_feeds(declared)
    yield from _nested(declared)


def _same_topics(declared: Sequence[_Declared]) -> Iterator[DeclarationError]:
    taken: dict[tuple[str, str], _Declared] = {}
    for one in declared:
        other = taken.setdefault((one.table.topic_path, one.table.topic), one) if one.table.topic else one
        if other is not one:
            problem = f"Topic {one.table.topic!r} goes to {other.table.name!r}, declared at {other.where}, already."
            yield one.entry.mistake("topic", problem, "Remove one of them.")


def _same_feeds(declared: Sequence[_Declared]) -> Iterator[DeclarationError]:
    taken: dict[str, _Declared] = {}
    for one in declared:
        other = taken.setdefault(one.table.feed, one) if one.table.feed else one
        if other is not one:
            problem = f"Feed {one.table.feed!r} fills {other.table.name!r}, declared at {other.where}, already."
            yield one.entry.mistake("feed", problem, "Remove one of them.")


def _nested(declared: Sequence[_Declared]) -> Iterator[DeclarationError]:
    """Find prefixes inside others; in the order of prefixes whatever lies in one follows it at once."""
    outer: _Declared | None = None
    for one in sorted(declared, key=lambda one: one.table.prefix):
        if outer is None or not one.table.prefix.startswith(outer.table.prefix):
            outer = one
        elif one.table.prefix != outer.table.prefix and not one.table.base:
            problem = f"{one.table.prefix!r} lies inside {outer.table.prefix!r}, declared at {outer.where}."
            yield one.entry.mistake("prefix", problem, "Give each table a folder of its own.")
