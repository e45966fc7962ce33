"""The warehouse, as products see it: tables of immutable Parquet files, changed by commits that swap files."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

import pyarrow as pa

from cubic_ingestion.ports.object_store import ObjectStore


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One field of a table's partitioning."""

    column: str
    transform: Literal["identity", "month"]


@dataclass(frozen=True, slots=True)
class WarehouseFile:
    """A data file of a table, committed or not yet."""

    key: str
    """Key in the warehouse's bucket, for example ``cubic/<table>/data/<uuid>.parquet``."""
    n_rows: int
    n_bytes: int
    partition: tuple[object, ...] = ()
    """Values of the partition fields as Iceberg keeps them; a month is the number of months since January 1970."""


@dataclass(frozen=True, slots=True)
class WarehouseSnapshot:
    """The state of a table after one commit."""

    id: int
    parent_id: int | None
    committed_at: datetime
    properties: Mapping[str, str]
    """Those that the committer gave. Each name begins with ``cubic.``."""


class DataFileWriter(Protocol):
    """A data file that is being written."""

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        ...

    @property
    def n_bytes(self) -> int:
        """Bytes written so far; rows that wait in memory are not among them."""
        ...

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows. They may wait in memory until a row group is full."""
        ...

    def close(self, partition: Sequence[object] = (), footer: Mapping[str, str] | None = None) -> WarehouseFile:
        """End the file and return it. The file is in the bucket, but in no snapshot before ``commit`` adds it.

        Args:
            partition: Values of the table's partition fields. They must be true for every row.
            footer: Texts to record in the footer of the Parquet file, for example its first and last key.
        """
        ...


class WarehouseTable(Protocol):
    """A table as it was when it was opened. A commit returns the next state and leaves this one as it is."""

    @property
    def name(self) -> str:
        """Name in the catalog, without the namespace."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Columns as they are stored."""
        ...

    @property
    def snapshot(self) -> WarehouseSnapshot | None:
        """The current snapshot; None before the first commit."""
        ...

    def snapshots(self) -> Sequence[WarehouseSnapshot]:
        """Return the kept snapshots, oldest first."""
        ...

    def files(self, snapshot_id: int | None = None) -> Sequence[WarehouseFile]:
        """Return the data files of a snapshot.

        Args:
            snapshot_id: A kept snapshot; the current one by default.

        Raises:
            ValueError: The snapshot is not kept.
        """
        ...

    def writer(
        self, schema: pa.Schema | None = None, *, replaces_schema: bool = False
    ) -> AbstractContextManager[DataFileWriter]:
        """Open a new data file. The file is discarded unless it was closed.

        Args:
            schema: Columns of the file, if the commit that adds it changes the schema; else the table's.
            replaces_schema: Whether the commit will be given the schema as ``replace_schema``.

        Raises:
            UnpromotableError: As ``commit`` raises it.
        """
        ...

    def commit(
        self,
        *,
        add: Sequence[WarehouseFile],
        remove: Sequence[WarehouseFile],
        properties: Mapping[str, str],
        schema: pa.Schema | None = None,
        replace_schema: pa.Schema | None = None,
    ) -> "WarehouseTable":
        """Swap files in one commit, if the table is still at the snapshot at which it was opened.

        Not idempotent: repeat a commit only after the table was opened again and its snapshot's properties show that
        the first try did not succeed.

        Args:
            add: New files, written by ``writer`` with the schema that the commit gives the table.
            remove: Files of the current snapshot.
            properties: Recorded in the snapshot. Each name begins with ``cubic.``.
            schema: Columns to add, and types to widen as Iceberg can promote them. Columns that it lacks stay.
            replace_schema: The table's columns from now on. Types may change in any way, so all files of the current
                snapshot must be removed in the same commit.

        Returns:
            The table in its new state.

        Raises:
            CommitConflictError: Another commit came first. The table is as the other commit left it.
            UnpromotableError: A column of ``schema`` cannot be promoted. Rewrite all files and give ``replace_schema``.
            ObjectMissingError: A file to add is not in the bucket, because ``clean`` removed it after the grace period.
            ValueError: A file to remove is not in the snapshot, or the arguments contradict each other.
            CatalogUnavailableError: The catalog did not answer. The commit may have succeeded.
            DatabaseUnavailableError: The database did not answer. The commit may have succeeded.
        """
        ...


class Warehouse(Protocol):
    """All tables of the warehouse.

    Every method raises ``StoreUnavailableError``, ``DatabaseUnavailableError`` or ``CatalogUnavailableError`` for what
    may pass, and ``SettingsError`` if it cannot be used as it is configured.
    """

    @property
    def bucket(self) -> ObjectStore:
        """Where the files of all tables are."""
        ...

    def tables(self) -> Sequence[str]:
        """Return the names of all tables, in order."""
        ...

    def open(self, name: str) -> WarehouseTable | None:
        """Return a table as it is now, or None if there is no such table."""
        ...

    def create(self, name: str, schema: pa.Schema, partitioning: Sequence[PartitionField] = ()) -> WarehouseTable:
        """Create an empty table.

        Args:
            name: Its name.
            schema: Columns in types that can be stored, as ``stored_schema`` returns them.
            partitioning: Its partition fields, outermost first.

        Raises:
            CommitConflictError: There is such a table already.
            ValueError: A type cannot be stored, or there is no such column.
        """
        ...

    def drop(self, name: str) -> None:
        """Remove a table from the catalog. ``clean`` removes its files later. Idempotent."""
        ...

    def kept_keys(self) -> Collection[str]:
        """Return the keys of all objects that a kept snapshot of any table needs.

        These are data files, manifests, manifest lists, and the current metadata file of each table.
        """
        ...

    def unneeded_since(self) -> Mapping[str, datetime]:
        """Return since when ``clean`` knows that objects are not needed, by key: those in their grace period."""
        ...

    def clean(self, now: datetime, grace: timedelta, live: Callable[[], Collection[str]]) -> int:
        """Remove the objects that no kept snapshot has needed for at least the grace period. Idempotent.

        The grace period of an object starts when this method first sees that the object is not needed. So call it
        often, for example every hour. Two callers at once do no harm.

        Args:
            now: The present moment.
            grace: How long readers may still use an object that has left the last kept snapshot.
            live: Returns the names of the tables that somebody has leased. Their uncommitted files stay.

        Returns:
            How many objects were removed.
        """
        ...


class UnpromotableError(Exception):
    """A column in a table cannot take a wider type in its existing files. Rewrite all files in one commit."""

    def __init__(self, column: str, stored: str, wanted: str) -> None:
        self.column = column
        self.stored = stored
        self.wanted = wanted
        super().__init__(f"Column '{column}' is stored as {stored}, and Iceberg cannot promote that to {wanted}.")
