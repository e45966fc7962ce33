"""A table of the warehouse as Iceberg has it, at one state."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update.snapshot import ExpireSnapshots

from cubic_ingestion.errors import CommitConflictError
from cubic_ingestion.ports import ObjectStore, WarehouseFile, WarehouseSnapshot
from cubic_ingestion.warehouse.data_files import (
    ParquetFileWriter,
    added_file,
    new_data_file,
    removed_file,
    warehouse_file,
)
from cubic_ingestion.warehouse.file_swap import SwapTransaction
from cubic_ingestion.warehouse.iceberg_schema import arrow_schema, evolved_columns, replaced_columns
from cubic_ingestion.warehouse.locations import table_folder

KEPT_SNAPSHOTS = 20
PROPERTY_PREFIX = "cubic."

Translating = Callable[[str], AbstractContextManager[None]]
"""Translates the errors of the catalog's vendor while a table, named by the argument, is worked on."""


@dataclass(frozen=True)
class IcebergTable:
    """A table at one state. It fills the ``WarehouseTable`` port, which says what its methods do."""

    name: str
    bucket: ObjectStore
    iceberg: Table
    """Never changed; a commit works on a copy."""
    translating: Translating

    @property
    def schema(self) -> pa.Schema:
        """Columns as they are stored."""
        return arrow_schema(self.iceberg.schema())

    @property
    def snapshot(self) -> WarehouseSnapshot | None:
        """The current snapshot; None before the first commit."""
        current = self.iceberg.current_snapshot()
        return current and _shown(current)

    def snapshots(self) -> Sequence[WarehouseSnapshot]:
        """Return the kept snapshots, oldest first."""
        return [_shown(snapshot) for snapshot in _by_age(self.iceberg)]

    def files(self, snapshot_id: int | None = None) -> Sequence[WarehouseFile]:
        """Return the data files of a snapshot."""
        snapshot = self.iceberg.current_snapshot() if snapshot_id is None else self.iceberg.snapshot_by_id(snapshot_id)
        if snapshot is None and snapshot_id is not None:
            raise ValueError(f"Snapshot {snapshot_id} of '{self.name}' is not kept.")
        manifests = snapshot.manifests(self.iceberg.io) if snapshot else []
        return [
            warehouse_file(self.bucket, entry.data_file)
            for manifest in manifests
            for entry in manifest.fetch_manifest_entry(self.iceberg.io)
        ]

    def writer(
        self, schema: pa.Schema | None = None, *, replaces_schema: bool = False
    ) -> AbstractContextManager[ParquetFileWriter]:
        """Open a new data file."""
        columns = self._next_schema(None if replaces_schema else schema, schema if replaces_schema else None)
        return new_data_file(self.bucket, table_folder(self.name), columns)

    def commit(
        self,
        *,
        add: Sequence[WarehouseFile],
        remove: Sequence[WarehouseFile],
        properties: Mapping[str, str],
        schema: pa.Schema | None = None,
        replace_schema: pa.Schema | None = None,
    ) -> "IcebergTable":
        """Swap files in one commit."""
        if wrong := [name for name in properties if not name.startswith(PROPERTY_PREFIX)]:
            raise ValueError(f"Property '{wrong[0]}' does not begin with '{PROPERTY_PREFIX}'.")
        columns = self._next_schema(schema, replace_schema)
        if replace_schema is not None and (left := {file.key for file in self.files()} - {file.key for file in remove}):
            raise ValueError(f"'{min(left)}' has the columns of the schema that is replaced.")
        added = [added_file(self.bucket, file, columns, self.iceberg.properties) for file in add]
        copy = Table(
            self.iceberg.name(),
            self.iceberg.metadata,
            self.iceberg.metadata_location,
            self.iceberg.io,
            self.iceberg.catalog,
        )
        transaction = SwapTransaction(copy)
        if columns is not self.iceberg.schema():
            transaction.change_schema(columns)
        swap = transaction.swap(properties)
        for file in remove:
            swap.delete_data_file(removed_file(self.bucket, file))
        for file in added:
            swap.append_data_file(file)
        try:
            swap.commit()
        except ValidationException as error:  # a file to remove is not in the snapshot
            raise ValueError(str(error)) from error
        if expired := [snapshot.snapshot_id for snapshot in _by_age(copy)[: 1 - KEPT_SNAPSHOTS]]:
            ExpireSnapshots(transaction).by_ids(expired).commit()
        with self.translating(self.name):
            return self._at(self._committed(transaction, swap.snapshot_id))

    def _committed(self, transaction: Transaction, snapshot_id: int) -> Table:
        """Commit, and find out whether a commit that was refused succeeded nevertheless.

        A client that repeats a request after a lost answer is told that somebody else has changed the table.
        """
        try:
            return transaction.commit_transaction()
        except (CommitFailedException, NoSuchTableError) as error:
            try:
                current = self.iceberg.catalog.load_table(self.iceberg.name())
            except NoSuchTableError:
                raise CommitConflictError(self.name, "the table was dropped") from error
            if current.snapshot_by_id(snapshot_id) is None:
                raise CommitConflictError(self.name, str(error)) from error
            return current

    def _at(self, iceberg: Table) -> "IcebergTable":
        return IcebergTable(self.name, self.bucket, iceberg, self.translating)

    def _next_schema(self, schema: pa.Schema | None, replace_schema: pa.Schema | None) -> Schema:
        """Return the columns after a commit; the very schema of the table if the commit changes nothing."""
        current, last_id = self.iceberg.schema(), self.iceberg.metadata.last_column_id
        if schema is not None and replace_schema is not None:
            raise ValueError("Give 'schema' or 'replace_schema', not both.")
        if schema is not None:
            changed = evolved_columns(current, last_id, schema)
        elif replace_schema is not None:
            partitioned = {field.source_id for field in self.iceberg.spec().fields}
            changed = replaced_columns(current, last_id, replace_schema, partitioned)
        else:
            return current
        if changed == current.fields:
            return current
        return Schema(*changed, schema_id=1 + max(each.schema_id for each in self.iceberg.metadata.schemas))


def _by_age(table: Table) -> list[Snapshot]:
    return sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)


def _shown(snapshot: Snapshot) -> WarehouseSnapshot:
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    return WarehouseSnapshot(
        snapshot.snapshot_id,
        snapshot.parent_snapshot_id,
        datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        {name: value for name, value in summary.items() if name.startswith(PROPERTY_PREFIX)},
    )
