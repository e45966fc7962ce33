"""A workspace on disk: tables that are larger than memory. DuckDB keeps and searches them."""

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cubic_ingestion.parsing.stored_types import from_stored, nanosecond_columns, to_stored
from cubic_ingestion.ports import Keep, keep_nothing
from cubic_ingestion.products.current_rows import in_transit
from cubic_ingestion.products.sort_on_disk import RANGE_BYTES, SAMPLES_PER_RANGE, SortOnDisk

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "128MB"
"""What DuckDB may take; the rest goes to disk."""
_CONFIG: "dict[str, str | bool | int | float | list[str]]" = {
    "memory_limit": MEMORY,
    "threads": 2,
    "preserve_insertion_order": False,
}
_IS_SILENT = "SET enable_progress_bar = false"
_PIECE_ROWS, _PIECE_BYTES = 32_768, 4 << 20


@dataclass(slots=True)
class Workspace:
    """Tables on disk. Rows are given and returned in the types of Springboard."""

    connection: "DuckDBPyConnection"
    folder: Path
    keep: Keep
    """Renews the caller's lease; called for each piece that is read or written."""
    schemas: dict[str, pa.Schema] = field(default_factory=dict[str, pa.Schema])
    n_rows: dict[str, int] = field(default_factory=dict[str, int])
    n_bytes: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of each table, as Arrow holds its rows."""
    widths: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes per row of each table, of the piece where they are most."""
    fine: set[str] = field(default_factory=set[str])
    """Columns that have a value with more than six digits of a second."""

    def store(self, name: str, schema: pa.Schema, rows: Iterator[pa.Table]) -> int:
        """Make a table of some rows; returns their number."""
        transit, failures = in_transit(schema), list[BaseException]()
        self.schemas[name], self.n_bytes[name], self.widths[name] = schema, 0, 1
        n_rows = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal n_rows
            try:
                for each in rows:
                    self.keep()
                    n_rows += each.num_rows
                    self.fine |= nanosecond_columns(each)
                    self.n_bytes[name] += each.nbytes
                    self.widths[name] = max(self.widths[name], each.nbytes // max(each.num_rows, 1))
                    yield from to_stored(each, transit).to_batches()
            except BaseException as failure:
                failures.append(failure)  # DuckDB tells only its text
                raise

        reader = pa.RecordBatchReader.from_batches(transit, batches())
        try:
            self.connection.from_arrow(reader).create(name)
        except Exception:
            if failures:
                raise failures[0] from None
            raise
        self.n_rows[name] = n_rows
        return n_rows

    def sorted_rows(
        self, name: str, key: Sequence[str], by: Sequence[str] = (), where: str = "true"
    ) -> Iterator[pa.Table]:
        """Yield rows of a table in the order of a key, which is that of ``key_order``.

        Args:
            name: The table.
            key: Key columns.
            by: Further columns, which order the rows of one key.
            where: Which rows.
        """
        schema = self.schemas[name]
        keys = pa.schema([schema.field(column) for column in key])
        n_ranges = self.n_bytes[name] // RANGE_BYTES + 1
        stored = ", ".join(quoted(column) for column in in_transit(keys).names if column in in_transit(schema).names)
        query = f"SELECT {stored} FROM {name} WHERE {where}"  # noqa: S608 - names are quoted
        sample = self.rows(f"FROM ({query}) USING SAMPLE {n_ranges * SAMPLES_PER_RANGE} ROWS (reservoir, 7)", keys)
        sort = SortOnDisk(Path(tempfile.mkdtemp(dir=self.folder)), schema, key, [*key, *by])
        yield from sort.rows(self.all_rows(name, where), sample, n_ranges, self._piece_rows(name))

    def all_rows(self, name: str, where: str) -> Iterator[pa.Table]:
        """Yield rows of a table, in any order."""
        schema, transit = self.schemas[name], in_transit(self.schemas[name])
        query = f"SELECT * FROM {name} WHERE {where}"  # noqa: S608 - names are quoted
        with self.connection.cursor() as cursor:  # a connection has one open result at a time
            cursor.execute(_IS_SILENT)
            for batch in cursor.sql(query).to_arrow_reader(self._piece_rows(name)):
                self.keep()
                yield from_stored(pa.Table.from_batches([batch]).cast(transit), schema)

    def rows(self, query: str, schema: pa.Schema) -> pa.Table:
        """Return the rows of a query, which has the columns of a schema."""
        self.keep()
        transit = in_transit(schema)
        return from_stored(self.connection.sql(query).to_arrow_table().cast(transit), schema)

    def _piece_rows(self, name: str) -> int:
        return max(min(_PIECE_ROWS, _PIECE_BYTES // self.widths[name]), 1_000)


@contextmanager
def open_workspace(keep: Keep = keep_nothing) -> Generator[Workspace]:
    """Open an empty workspace, which is removed at the end.

    Args:
        keep: Renews the caller's lease.
    """
    import duckdb  # noqa: PLC0415 - costs 0.3 s, which nobody who does without it should wait for

    with (
        tempfile.TemporaryDirectory(prefix="cubic-") as folder,
        duckdb.connect(Path(folder) / "workspace.duckdb", config=_CONFIG) as connection,
    ):
        connection.execute(_IS_SILENT)
        yield Workspace(connection, Path(folder), keep)


def quoted(name: str) -> str:
    """Quote the name of a column."""
    return '"' + name.replace('"', '""') + '"'
