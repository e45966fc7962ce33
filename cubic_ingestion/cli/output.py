"""How commands print: lines and tables for people, JSON for scripts.

No other module of the command line writes to a stream, so that every name from outside passes through here: people see
it as ``visible`` shows it, and JSON keeps it.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from cubic_ingestion.outside_text import ACTING, visible, visible_name

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_WIDE = 200
_MAX_TABLE_ROWS = 1_000

console = Console(width=None if sys.stdout and sys.stdout.isatty() else _WIDE, emoji=False)
"""Standard output; a pipe or a log is not folded to a terminal's width."""


def say(*lines: str, style: str = "") -> None:
    """Print lines for people; each argument is one line, whatever it quotes."""
    for line in lines:
        console.print(Text(visible(line), style=style), highlight=False, soft_wrap=True)


def warn(line: str) -> None:
    """Print a line for people to standard error."""
    typer.echo(visible(line), err=True)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print what is known, a line for each fact that is not None."""
    for name, value in facts.items():
        if value is not None:
            console.print(
                Text.assemble((f"{name:>17}  ", "bold"), visible_name(str(value))), highlight=False, soft_wrap=True
            )


def print_json(value: object) -> None:
    """Print a value as JSON, times as ISO 8601; beside an empty list, say on standard error where was looked."""
    if value == []:
        print_places(is_error=True)
    write(json_text(value, indent=2) + "\n")


def print_json_list(items: Iterable[object]) -> None:
    """Print a list as ``print_json`` does, item by item: none of them is kept."""
    if not _write_items(items):
        print_places(is_error=True)
    write("\n")


def print_json_lists(lists: Mapping[str, Iterable[object]]) -> None:
    """Print an object of lists, one list after the other and item by item: none of the items is kept."""
    for position, (name, items) in enumerate(lists.items()):
        write(f"{',' if position else '{'}\n{json_text(name)}: ")
        _write_items(items)
    write("\n}\n")


def _write_items(items: Iterable[object]) -> int:
    n_written = 0
    for item in items:
        write(("," if n_written else "[") + "\n" + textwrap.indent(json_text(item, indent=2), "  "))
        n_written += 1
    write("\n]" if n_written else "[]")
    return n_written


def json_text(value: object, indent: int | None = None) -> str:
    r"""Return a value as JSON text that every parser takes and every terminal shows.

    Characters that act are escaped as JSON does, so a parser returns the exact name. A byte of a name that is not UTF-8
    can be in no JSON text, so a parser returns it as ``visible`` shows it.
    """
    return _ACTING_IN_JSON.sub(_json_escape, json.dumps(value, indent=indent, ensure_ascii=False, default=_plain))


def write(text: str) -> None:
    """Write a text for programs as it is, and as UTF-8 whatever encoding the terminal has."""
    typer.echo(text.encode(), nl=False)


def print_rows(rows: Iterable[Mapping[str, object]], *, title: str = "", empty: str = "Nothing.") -> None:
    """Print rows as a table, many as several, so that they need not be kept; all rows have the same columns."""
    remaining, n_printed = iter(rows), 0
    while page := list(islice(remaining, _MAX_TABLE_ROWS)):
        _print_table(page, "" if n_printed else title)
        n_printed += len(page)
    if not n_printed:
        print_nothing(empty)


def _print_table(rows: Sequence[Mapping[str, object]], title: str) -> None:
    shown = RichTable(title=title or None, title_justify="left")
    for name, value in rows[0].items():
        shown.add_column(name.replace("_", " "), justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(value) for value in row.values()))
    console.print(shown)


def print_nothing(text: str) -> None:
    """Print that nothing was found, and where it was looked for: the mistake may be there."""
    say(text)
    print_places()


def print_places(*, is_error: bool = False) -> None:
    """Print which home, database and buckets the settings name; to standard error beside JSON."""
    from cubic_ingestion.settings import read_settings

    typer.echo("Looked in:", err=is_error)
    for name, place in read_settings().places.items():
        typer.echo(f"  {name:<11} {visible(place)}", err=is_error)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str | Text:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return Text(visible_name(str(value)))  # no text for Rich to read: file names may look like its markup


_ACTING_IN_JSON = re.compile(f"(?!\n){ACTING.pattern}")
"""Without the line feed: in JSON's text it only stands between values."""


def _json_escape(found: re.Match[str]) -> str:
    character = found.group()
    return json.dumps(visible(character) if "\ud800" <= character <= "\udfff" else character)[1:-1]
