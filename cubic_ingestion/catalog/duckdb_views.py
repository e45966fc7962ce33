"""The SQL of a view over a table's Parquet files, and the state of the views in a database file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from cubic_ingestion.ports import CatalogEntry, CatalogPart

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


def create_view(connection: "DuckDBPyConnection", entry: CatalogEntry) -> None:
    """Make the view of a table anew; reads the footers of all its Parquet files.

    ``snapshot=`` and ``identifier=`` below the location become columns of text. Where a column has not the same type
    in all files, each file's values are cast to the type that holds them all: DuckDB's own choice would round some.

    Args:
        connection: A database that may be changed.
        entry: The table.
    """
    parts = [_part(connection, part, entry.schema) for part in entry.parts]
    everything = _select("*", _literal(_pattern(entry.location)))
    rows = " union all by name ".join(parts or [everything])
    name = _identifier(entry.table.catalog_name)
    connection.execute(f"create or replace view {name} as {rows}")
    connection.execute(f"comment on view {name} is {_literal(entry.location)}")


def select_partitions(connection: "DuckDBPyConnection", view: str, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Select the values of the folders that a view finds rows in."""
    columns = ", ".join(map(_identifier, names))
    return connection.execute(f"select distinct {columns} from {_identifier(view)}").fetchall()  # noqa: S608 - quoted


def _part(connection: "DuckDBPyConnection", part: CatalogPart, schema: pa.Schema) -> str:
    """Select the files of one schema, each column in the type that it has over all of them."""
    casts: list[str] = []
    for name, kind in zip(part.schema.names, part.schema.types, strict=True):
        wanted = schema.field(name).type
        if kind != wanted:
            casts.append(f"cast({_identifier(name)} as {_type(connection, wanted)}) as {_identifier(name)}")
    files = ", ".join(_literal(_path(uri)) for uri in part.uris)
    return _select(f"* replace ({', '.join(casts)})" if casts else "*", f"[{files}]")


def _type(connection: "DuckDBPyConnection", arrow: pa.DataType) -> str:
    """Name the DuckDB type that an Arrow type becomes."""
    empty = pa.table({"value": pa.array([], arrow)})
    return str(connection.from_arrow(empty).types[0])


def _select(columns: str, files: str) -> str:
    options = "hive_partitioning = true, hive_types_autocast = false, union_by_name = true"
    return f"select {columns} from read_parquet({files}, {options})"  # noqa: S608 - all parts are quoted


def _pattern(location: str) -> str:
    """Return the glob pattern of all Parquet files below a location."""
    return _path(location) + "**/*.parquet"


def _path(uri: str) -> str:
    """Return a URI as DuckDB takes it, with no character that it reads as a pattern."""
    parts = urlsplit(uri)
    path = unquote(parts.path) if parts.scheme == "file" else uri
    return "".join(f"[{letter}]" if letter in _GLOB_CHARACTERS else letter for letter in path)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
