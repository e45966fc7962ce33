"""The catalog as a DuckDB file with one view per table, kept right while others read it."""

import shutil
import sys
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cubic_ingestion.catalog.duckdb_views import (
    View,
    create_product_view,
    create_view,
    definitions,
    named_files,
    paths_of,
    product_files,
    standing_views,
    unread_partitions,
)
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import CatalogUnavailableError
from cubic_ingestion.ports import CatalogEntry, Keep, ProductEntry, keep_nothing

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class DuckDBTableCatalog:
    """A DuckDB file with a view per table, named as the catalog names the table.

    DuckDB locks a file that is open, against every other process that would write to it. So the file is never opened
    in its place: a copy is changed and put there in one step. Who has it open goes on with what it was; the views'
    data is the Parquet in Springboard either way.
    """

    def __init__(self, path: Path, *, lock_timeout_seconds: float = 60.0) -> None:
        self._path = path
        self._lock_timeout_seconds = lock_timeout_seconds
        self._seen: tuple[tuple[int, int] | None, Mapping[str, View]] = (None, {})
        self._read: tuple[str, tuple[int, int] | None] = ("", None)
        self._files: frozenset[str] = frozenset()

    @property
    def address(self) -> str:
        """Path of the DuckDB file."""
        return str(self._path)

    def query(self, name: str) -> str:
        """Return a command that shows the first rows of a table or a product."""
        connect = f"duckdb.connect('{self.address}', read_only=True)"
        python = Path(sys.executable)
        python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
        return f"{python} -c \"import duckdb; {connect}.table('{name}').limit(5).show()\""

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:  # noqa: ARG002 - the port's
        """Yield nothing: a view finds its partitions by the files that lie in Springboard."""
        yield from ()

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        """Compare an entry's partitions with the definition of its view, which says where its files lie.

        No file is read: DuckDB would keep about 30 KB of memory for each file of the table.

        Raises:
            CatalogUnavailableError: The catalog's file cannot be read.
        """
        return unread_partitions(entry, self._named_files(entry.table.catalog_name))

    def _named_files(self, view: str) -> frozenset[str]:
        import duckdb  # noqa: PLC0415 - as below

        asked = (view, self._signature())
        if asked[1] is None:
            return frozenset()
        if self._read != asked:
            try:
                with closing(duckdb.connect(self._path, read_only=True)) as connection:
                    self._files = named_files(connection, view)
            except duckdb.Error as error:
                raise CatalogUnavailableError(view, str(error)) from error
            self._read = asked
        return self._files

    def register(
        self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
    ) -> Mapping[str, CatalogUnavailableError]:
        """Make sure that the tables can be queried, with at least the columns of their schemas.

        Costs one look at the file's time if nothing is new since this object looked last, else one copy of the file
        for all entries together. A view finds its partitions by itself.

        Returns:
            Why a view could not be made, by the table's name.

        Raises:
            CatalogUnavailableError: The file could not be changed.
        """
        signature, views = self._seen
        entries = [entry for entry in entries if entry.schema.names]  # else nothing is there that a view could show
        if entries and (signature is None or signature != self._signature() or _due(entries, views)):
            return self._revise(entries, keep)
        return {}

    def show(self, entry: ProductEntry) -> None:
        """Replace a product's view, which names its files. Who has the file open goes on with the old ones.

        Raises:
            CatalogUnavailableError: The file could not be changed.
        """
        with self._drafting(entry.name) as connection:
            create_product_view(connection, entry)

    def shows(self, product: str, uris: Collection[str]) -> bool:
        """Compare the files that a product's view names with the given ones. No Parquet file is read.

        Raises:
            CatalogUnavailableError: The file cannot be read.
        """
        import duckdb  # noqa: PLC0415 - as below

        if self._signature() is None:
            return False
        try:
            with closing(duckdb.connect(self._path, read_only=True)) as connection:
                return product_files(connection, product) == paths_of(uris)
        except duckdb.Error as error:
            raise CatalogUnavailableError(product, str(error)) from error

    def _revise(self, entries: Collection[CatalogEntry], keep: Keep) -> Mapping[str, CatalogUnavailableError]:
        with self._drafting(", ".join(sorted(entry.table.catalog_name for entry in entries))) as connection:
            return _create(connection, _due(entries, standing_views(connection)), keep)

    @contextmanager
    def _drafting(self, names: str) -> "Generator[DuckDBPyConnection]":
        """Hand out a copy of the file, and put it in the place of the file if anything in it was changed."""
        import duckdb  # noqa: PLC0415 - costs 0.3 s, which no command that does without it should wait for
        from filelock import FileLock, Timeout  # noqa: PLC0415 - needed here only

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._beside(".lock"), timeout=self._lock_timeout_seconds):
                draft = self._fresh_draft()
                with closing(duckdb.connect(draft)) as connection:
                    before = definitions(connection), standing_views(connection)
                    yield connection
                    after = definitions(connection), standing_views(connection)
                    connection.execute("checkpoint")
                if after != before:
                    draft.replace(self._path)
                    self._beside(".wal").unlink(missing_ok=True)
                draft.unlink(missing_ok=True)
                self._seen = (self._signature(), after[1])
        except Timeout as error:
            raise CatalogUnavailableError(names, f"another process holds '{error.lock_file}'") from error
        except (OSError, duckdb.Error) as error:
            raise CatalogUnavailableError(names, str(error)) from error

    def _fresh_draft(self) -> Path:
        """Copy the file, or begin an empty one. What an earlier process left of its draft is thrown away.

        Whoever opens the file for writing by hand has its last changes in the ``.wal`` beside it, so that goes along.
        """
        draft = self._beside(".draft")
        for end in ("", ".wal"):
            source, copy = self._beside(end), self._beside(f".draft{end}")
            copy.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, copy)
        return draft

    def _beside(self, end: str) -> Path:
        return self._path.with_name(self._path.name + end)

    def _signature(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


def _due(entries: Collection[CatalogEntry], views: Mapping[str, View]) -> list[CatalogEntry]:
    """Select the entries whose view is missing, names its files, is outdated, lies elsewhere or lacks a column."""
    return [
        entry
        for entry in entries
        if (view := views.get(entry.table.catalog_name)) is None
        or entry.parts  # they name their files, and there is a new one
        or view.names_files
        or not view.reads_layout
        or view.location != entry.location
        or not view.columns.issuperset(entry.schema.names)
    ]


def _create(
    connection: "DuckDBPyConnection", entries: Collection[CatalogEntry], keep: Keep
) -> Mapping[str, CatalogUnavailableError]:
    """Make the entries' views; returns the reason for each that could not be made, by its table."""
    import duckdb  # noqa: PLC0415 - as above

    failures: dict[str, CatalogUnavailableError] = {}
    for entry in entries:
        keep()
        try:
            create_view(connection, entry)
        except duckdb.Error as error:
            failures[entry.table.name] = CatalogUnavailableError(entry.table.catalog_name, str(error))
    return failures
