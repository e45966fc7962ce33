"""How a snapshot is made: pyiceberg's overwrite, with few manifests however many commits came before.

Here, and in the catalogs, the warehouse uses parts of pyiceberg that begin with an underscore. A test names them all.
"""

from collections.abc import Mapping

from pyiceberg.manifest import ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import AddSchemaUpdate, AssertCurrentSchemaId, SetCurrentSchemaUpdate, TableUpdate
from pyiceberg.table.update.snapshot import (
    _ManifestMergeManager,  # pyright: ignore[reportPrivateUsage] - see above
    _OverwriteFiles,  # pyright: ignore[reportPrivateUsage] - see above
)
from typing_extensions import override

MAX_MANIFESTS = 8
"""Manifests of a snapshot before small ones are merged."""
TARGET_MANIFEST_BYTES = 512 * 1024
"""Manifests do not grow further by merging, because a swap rewrites the manifest of each removed file."""


class SwapTransaction(Transaction):
    """A commit that may change the columns and makes one snapshot.

    pyiceberg copies the whole metadata, with all kept snapshots, each time that it is asked for, some thirty times per
    commit: half of the commit's time. Here it is copied once per change.
    """

    _known: tuple[tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    @override
    def table_metadata(self) -> TableMetadata:
        if self._known is None or self._known[0] is not self._updates:
            self._known = self._updates, super().table_metadata
        return self._known[1]

    def change_schema(self, columns: Schema) -> None:
        """Give the table other columns, if its columns are still those that this process has seen."""
        seen = AssertCurrentSchemaId.model_validate({"current-schema-id": self.table_metadata.current_schema_id})
        self._stage((AddSchemaUpdate(schema=columns), SetCurrentSchemaUpdate()), (seen,))

    def swap(self, properties: Mapping[str, str]) -> "FileSwap":
        """Return a snapshot to fill with files and to commit."""
        is_first = self.table_metadata.current_snapshot() is None
        operation = Operation.APPEND if is_first else Operation.OVERWRITE
        return FileSwap(operation, self, self._table.io, snapshot_properties=dict(properties))


class FileSwap(_OverwriteFiles):
    """A snapshot with some files fewer and some more.

    pyiceberg's own overwrite keeps the manifest of the files that each earlier commit removed, for ever, and merges
    none, so that a commit takes longer with each commit before it.
    """

    @override
    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        needed = [
            manifest
            for manifest in manifests
            if manifest.added_snapshot_id == self.snapshot_id
            or manifest.has_added_files()
            or manifest.has_existing_files()
        ]
        merging = _ManifestMergeManager(
            TARGET_MANIFEST_BYTES, MAX_MANIFESTS, merge_enabled=True, snapshot_producer=self
        )
        return merging.merge_manifests(needed)
