"""The SQL of a view over a table's Parquet files, and the state of the views in a database file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_GLOB_CHARACTERS = frozenset("*?[")
_VIEWS = """
    select view_name, coalesce(view.comment, ''), list(column_name)
    from duckdb_views() view join duckdb_columns() on table_oid = view_oid
    where view.schema_name = 'main' and not view.internal
    group by all
"""


@dataclass(frozen=True, slots=True)
class View:
    """A view as the database file has it."""

    location: str
    """URI of the prefix whose Parquet files it reads; kept, for people too, as the view's comment."""
    columns: frozenset[str]
    """Names of its columns when it was made. DuckDB itself follows the files' columns whenever the view is used."""


def standing_views(connection: "DuckDBPyConnection") -> Mapping[str, View]:
    """Return the views of a database file by name; reads no Parquet file."""
    rows = connection.execute(_VIEWS).fetchall()
    return {name: View(location, frozenset(columns)) for name, location, columns in rows}


def create_view(connection: "DuckDBPyConnection", name: str, location: str) -> None:
    """Make the view anew; reads the footers of all Parquet files below the location.

    Args:
        connection: A database that may be changed.
        name: The view's name.
        location: URI of a prefix, ending with ``/``. ``snapshot=`` and ``identifier=`` below it become columns of text.
    """
    connection.execute(
        f"create or replace view {_identifier(name)} as select * from read_parquet({_literal(_pattern(location))}, "  # noqa: S608 - both are quoted
        "hive_partitioning = true, hive_types_autocast = false, union_by_name = true)"
    )
    connection.execute(f"comment on view {_identifier(name)} is {_literal(location)}")


def _pattern(location: str) -> str:
    """Return the glob pattern of all Parquet files below a location."""
    parts = urlsplit(location)
    folder = unquote(parts.path) if parts.scheme == "file" else location
    return "".join(f"[{letter}]" if letter in _GLOB_CHARACTERS else letter for letter in folder) + "**/*.parquet"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
