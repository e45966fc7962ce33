"""How commands print: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_WIDE = 200

console = Console(width=None if sys.stdout.isatty() else _WIDE, emoji=False)
"""Standard output; a pipe or a log is not folded to a terminal's width."""


def print_json(value: object) -> None:
    """Print a value as JSON; times as ISO 8601."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_rows(rows: Sequence[Mapping[str, object]], *, title: str = "", empty: str = "Nothing.") -> None:
    """Print rows as a table; all rows have the same columns."""
    if not rows:
        console.print(empty)
        return
    shown = RichTable(title=title or None, title_justify="left")
    for name, value in rows[0].items():
        shown.add_column(name.replace("_", " "), justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(value) for value in row.values()))
    console.print(shown)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str | Text:
    if value is None:
        return ""
    if isinstance(value, str):
        return Text(value)  # as it is: file names may look like Rich's markup
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
