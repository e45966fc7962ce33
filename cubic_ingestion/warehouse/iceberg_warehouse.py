"""The warehouse in Iceberg."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pyarrow as pa
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField as IcebergPartitionField
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform, MonthTransform

from cubic_ingestion.errors import CommitConflictError
from cubic_ingestion.ports import ObjectStore, PartitionField
from cubic_ingestion.warehouse.cleaning import read_marks, sweep, write_marks
from cubic_ingestion.warehouse.iceberg_schema import new_schema
from cubic_ingestion.warehouse.iceberg_table import KEPT_SNAPSHOTS, IcebergTable, Translating
from cubic_ingestion.warehouse.locations import DROPPED, ROOT, UNNEEDED, key_of, location_of, table_folder

_FIRST_PARTITION_ID = 1000
_PROPERTIES = {
    "format-version": "2",
    "commit.retry.num-retries": "0",  # a commit requires exactly the snapshot that its writer has seen
    "history.expire.min-snapshots-to-keep": str(KEPT_SNAPSHOTS),
    "write.metadata.previous-versions-max": "1",
    "write.parquet.compression-codec": "zstd",
}


class IcebergWarehouse:
    """All tables of one namespace of a catalog. It fills the ``Warehouse`` port, which says what its methods do."""

    def __init__(
        self, bucket: ObjectStore, catalog: MetastoreCatalog, namespace: str, translating: Translating
    ) -> None:
        self.bucket = bucket
        self._catalog = catalog
        self._namespace = namespace
        self._translating = translating

    def tables(self) -> Sequence[str]:
        """Return the names of all tables, in order."""
        with self._translating(""):
            return sorted(name for _, name in self._catalog.list_tables(self._namespace))

    def open(self, name: str) -> IcebergTable | None:
        """Return a table as it is now, or None if there is no such table."""
        with self._translating(name):
            try:
                table = self._catalog.load_table((self._namespace, name))
            except NoSuchTableError:
                return None
        return IcebergTable(name, self.bucket, table, self._translating)

    def create(self, name: str, schema: pa.Schema, partitioning: Sequence[PartitionField] = ()) -> IcebergTable:
        """Create an empty table."""
        columns = new_schema(schema)
        location = location_of(self.bucket, table_folder(name).rstrip("/"))
        with self._translating(name):
            try:
                table = self._catalog.create_table(
                    (self._namespace, name), columns, location, _spec(columns, partitioning), properties=_PROPERTIES
                )
            except TableAlreadyExistsError as error:
                raise CommitConflictError(name, "it exists already") from error
        return IcebergTable(name, self.bucket, table, self._translating)

    def drop(self, name: str) -> None:
        """Remove a table from the catalog."""
        if self.open(name) is None:
            return
        with self.bucket.writer(table_folder(name) + DROPPED) as writer:
            writer.commit()
        with self._translating(name), suppress(NoSuchTableError):
            self._catalog.drop_table((self._namespace, name))

    def kept_keys(self) -> Collection[str]:
        """Return the keys of all objects that a kept snapshot of any table needs."""
        return {key for name in self.tables() for key in self._kept(name)}

    def unneeded_since(self) -> Mapping[str, datetime]:
        """Return since when ``clean`` knows that objects are not needed, by key."""
        return {
            key: datetime.fromisoformat(moment)
            for folder in self.bucket.prefixes(ROOT)
            for key, moment in read_marks(self.bucket, folder).items()
        }

    def clean(self, now: datetime, grace: timedelta, live: Callable[[], Collection[str]]) -> int:
        """Remove the objects that no kept snapshot has needed for at least the grace period."""
        return sum(self._clean(folder, now, grace, live) for folder in self.bucket.prefixes(ROOT))

    def _clean(self, folder: str, now: datetime, grace: timedelta, live: Callable[[], Collection[str]]) -> int:
        """Clean the folder of a table, which may have been dropped.

        A table that is not in the catalog and was not dropped belongs to another catalog. Its files stay.
        First the objects are listed, then the leases are read, then the table. So an object that is not needed, and
        whose table nobody has leased, is one that nobody will commit.
        """
        name = folder.removeprefix(ROOT).rstrip("/")
        objects = [each for page in self.bucket.list(folder) for each in page if each.key != folder + UNNEEDED]
        is_leased = name in live()
        known = read_marks(self.bucket, folder)
        kept = self._kept(name)
        if not kept and folder + DROPPED not in {each.key for each in objects}:
            return 0
        marks = {
            each.key: known.get(each.key, now.isoformat())
            for each in objects
            if each.key not in kept and (each.key in known or not is_leased)
        }
        n_removed = sweep(self.bucket, objects, marks, now, grace)
        if marks != known:
            write_marks(self.bucket, folder, marks)
        return n_removed

    def _kept(self, name: str) -> set[str]:
        """Return the keys that a table needs; none if there is no such table."""
        table = self.open(name)
        if table is None:
            return set()
        io = table.iceberg.io
        kept = {table.iceberg.metadata_location}
        manifests = {}
        for snapshot in table.iceberg.metadata.snapshots:
            kept.add(snapshot.manifest_list)
            manifests |= {manifest.manifest_path: manifest for manifest in snapshot.manifests(io)}
        for manifest in manifests.values():
            kept |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io)}
        return {key_of(self.bucket, location) for location in kept | manifests.keys()}


def _spec(schema: Schema, partitioning: Sequence[PartitionField]) -> PartitionSpec:
    return PartitionSpec(
        *(
            IcebergPartitionField(
                schema.find_field(field.column).field_id,
                _FIRST_PARTITION_ID + position,
                MonthTransform() if field.transform == "month" else IdentityTransform(),
                f"{field.column}_month" if field.transform == "month" else field.column,
            )
            for position, field in enumerate(partitioning)
        )
    )
