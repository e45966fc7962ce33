"""The SQL of a view over a table's Parquet files, and the state of the views in a database file."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from cubic_ingestion.domain.layout import PART_NAME
from cubic_ingestion.parsing.stored_types import NANOSECONDS, original_expression
from cubic_ingestion.ports import CatalogEntry, CatalogPart, ProductEntry

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_GLOB_CHARACTERS = frozenset("*?[")
_LITERALS = re.compile(r"'((?:[^']|'')*)'")
_SQL = "select sql from duckdb_views() where schema_name = 'main' and not internal and view_name = ?"
_FILE_COLUMN = "springboard_file"
"""Column with the path of a row's file while a view is computed; the view leaves it out."""
_VIEWS = f"""
    select view_name, coalesce(view.comment, ''), list(column_name),
        contains(view.sql, '{_FILE_COLUMN}'), not contains(view.sql, '*.parquet')
    from duckdb_views() view join duckdb_columns() on table_oid = view_oid
    where view.schema_name = 'main' and not view.internal
    group by all
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class View:
    """A view as the database file has it."""

    location: str
    """URI of the prefix whose Parquet files it reads; kept, for people too, as the view's comment."""
    columns: frozenset[str]
    """Names of its columns when it was made. DuckDB itself follows the files' columns whenever the view is used."""
    reads_layout: bool
    """Whether it reads the layout's folders alone; views of earlier releases also read folders above the home."""
    names_files: bool
    """Whether it names its files one by one; then it does not see those that come later."""


def standing_views(connection: "DuckDBPyConnection") -> Mapping[str, View]:
    """Return the views of a database file by name; reads no Parquet file."""
    rows = connection.execute(_VIEWS).fetchall()
    return {name: View(location, frozenset(columns), *facts) for name, location, columns, *facts in rows}


def create_view(connection: "DuckDBPyConnection", entry: CatalogEntry) -> None:
    """Make the view of a table anew; reads the footers of all its Parquet files.

    The folders of the layout (``snapshot=``, ``identifier=``) become columns of text. They are read from the end of
    each file's path: DuckDB's own ``hive_partitioning`` would also read the folders above the location, and would let
    them win over columns of the files. Where a column does not have the same type in all files, each file's values are
    cast to the type that holds them all: DuckDB's own choice would round some.

    Args:
        connection: A database that may be changed.
        entry: The table.
    """
    file_column = _unused_name(entry.schema.names)
    folders = [_folder(file_column, entry.partition_names, name) for name in entry.partition_names]
    parts = [
        _select(_literals(map(_path, part.uris)), file_column, [*_casts(connection, part, entry.schema)], folders)
        for part in entry.parts
    ]
    everything = _select(_literal(_pattern(entry)), file_column, [], folders)
    rows = " union all by name ".join(parts or [everything])
    name = _identifier(entry.table.catalog_name)
    connection.execute(f"create or replace view {name} as {rows}")
    connection.execute(f"comment on view {name} is {_literal(entry.location)}")


def create_product_view(connection: "DuckDBPyConnection", entry: ProductEntry) -> None:
    """Make the view of a product anew; it names the product's files, and gives columns their own types back.

    A load without rows may add a column, or widen one, that no file of the product has so. Columns that the product
    does not have yet are left out.
    """
    connection.execute("set parquet_metadata_cache = true")  # footers are read once, although they are needed twice
    files = f"read_parquet({_literals(map(_path, entry.uris))}, hive_partitioning = false, union_by_name = true)"
    held = _types(connection.sql(f"from {files}")) if entry.uris else {}
    wanted = _types(connection.from_arrow(entry.stored.empty_table()))
    stored = ", ".join(_stored(name, held.get(name), kind) for name, kind in wanted.items())
    source = f"select {stored} from {files}" if entry.uris else f"select {stored} where false"  # noqa: S608 - all parts are quoted
    columns = ", ".join(_original(entry, field) for field in entry.schema if field.name in wanted)
    connection.execute(f"create or replace view {_identifier(entry.name)} as select {columns} from ({source})")  # noqa: S608 - all parts are quoted


def _types(relation: "DuckDBPyRelation") -> dict[str, str]:
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def _stored(name: str, held: str | None, wanted: str) -> str:
    """Select a stored column from files, which have it as ``held`` or not at all."""
    column = _identifier(name)
    return column if held == wanted else f"cast({'null' if held is None else column} as {wanted}) as {column}"


def definitions(connection: "DuckDBPyConnection") -> Sequence[tuple[str, ...]]:
    """Return what defines the views of a database file."""
    sql = "select view_name, sql, comment from duckdb_views() where not internal order by view_name"
    return connection.execute(sql).fetchall()


def _original(entry: ProductEntry, field: "pa.Field[pa.DataType]") -> str:
    has_nanoseconds = field.name + NANOSECONDS in entry.stored.names
    expression = original_expression(field.name, field.type, has_nanoseconds=has_nanoseconds)
    return f"{expression} as {_identifier(field.name)}"


def named_files(connection: "DuckDBPyConnection", view: str) -> frozenset[str]:
    """Return the paths and patterns of the files that a view reads; reads no Parquet file. None if there is no view."""
    rows = connection.execute(_SQL, [view]).fetchall()
    literals = [literal.replace("''", "'") for (sql,) in rows for literal in _LITERALS.findall(sql)]
    return frozenset(literal for literal in literals if literal.endswith(".parquet"))


def product_files(connection: "DuckDBPyConnection", product: str) -> frozenset[str] | None:
    """Return the paths of the files that a product's view reads; None if there is no such view."""
    is_there = connection.execute(_SQL, [product]).fetchone()
    return named_files(connection, product) if is_there else None


def paths_of(uris: Iterable[str]) -> frozenset[str]:
    """Return URIs of files as the views name them."""
    return frozenset(map(_path, uris))


def unread_partitions(entry: CatalogEntry, files: Collection[str]) -> Sequence[tuple[str, ...]]:
    """Return the values of those partitions of an entry whose file a view with these ``named_files`` does not read."""
    patterns = {_pattern(entry), f"{_path(entry.location)}**/*.parquet"}  # the second is that of earlier releases
    if patterns.intersection(files):
        return ()
    return [each.values for each in entry.partitions if _path(each.location + PART_NAME) not in files]


def _casts(connection: "DuckDBPyConnection", part: CatalogPart, schema: pa.Schema) -> Iterator[str]:
    """Yield what turns columns of the files of one schema into the types that they have over all files."""
    for name, kind in zip(part.schema.names, part.schema.types, strict=True):
        wanted = schema.field(name).type
        if kind != wanted:
            yield f"cast({_identifier(name)} as {_type(connection, wanted)}) as {_identifier(name)}"


def _type(connection: "DuckDBPyConnection", arrow: pa.DataType) -> str:
    """Name the DuckDB type that an Arrow type becomes."""
    empty = pa.table({"value": pa.array([], arrow)})
    return str(connection.from_arrow(empty).types[0])


def _select(files: str, file_column: str, casts: Sequence[str], folders: Sequence[str]) -> str:
    columns = f"* exclude ({_identifier(file_column)})" + (f" replace ({', '.join(casts)})" if casts else "")
    options = f"hive_partitioning = false, union_by_name = true, filename = {_literal(file_column)}"
    return f"select {', '.join([columns, *folders])} from read_parquet({files}, {options})"  # noqa: S608 - all parts are quoted


def _folder(file_column: str, names: Sequence[str], name: str) -> str:
    """Select the value of one of the layout's folders; a filter on it leaves out files without opening them.

    Folders of derived tables are encoded. Names of loads with a ``%`` are refused, so decoding leaves them as they are.
    """
    folders = "/".join(f"{each}=([^/]*)" if each == name else f"{each}=[^/]*" for each in names)
    pattern = _literal(f"/{folders}/[^/]*$")
    return f"url_decode(regexp_extract({_identifier(file_column)}, {pattern}, 1)) as {_identifier(name)}"


def _unused_name(columns: Collection[str]) -> str:
    """Return a name for the column with a file's path that no column of the files has."""
    name = _FILE_COLUMN
    while name in columns:
        name += "_"
    return name


def _pattern(entry: CatalogEntry) -> str:
    """Return the glob pattern of a table's Parquet files: those in folders of the layout, and no others."""
    folders = "".join(f"{name}=*/" for name in entry.partition_names)
    return f"{_path(entry.location)}{folders}*.parquet"


def _path(uri: str) -> str:
    """Return a URI as DuckDB takes it, with no character that it reads as a pattern."""
    parts = urlsplit(uri)
    path = unquote(parts.path) if parts.scheme == "file" else uri
    return "".join(f"[{letter}]" if letter in _GLOB_CHARACTERS else letter for letter in path)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literals(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_literal, texts))}]"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
