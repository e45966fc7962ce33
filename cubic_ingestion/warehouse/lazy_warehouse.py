"""The warehouse of a process, opened when it is first used: pyiceberg takes a second to import."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa

from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ledger.engine import Engine, translating
from cubic_ingestion.ports import ObjectStore, PartitionField, Warehouse, WarehouseTable

if TYPE_CHECKING:
    from cubic_ingestion.warehouse.iceberg_table import Translating


def open_in_database(bucket: ObjectStore, engine: Engine) -> Warehouse:
    """Open the warehouse whose catalog is in the metadata database."""
    from cubic_ingestion.warehouse.iceberg_warehouse import IcebergWarehouse  # noqa: PLC0415 - pyiceberg is heavy
    from cubic_ingestion.warehouse.sql_catalog import NAMESPACE, open_sql_catalog  # noqa: PLC0415 - pyiceberg is heavy

    return IcebergWarehouse(bucket, open_sql_catalog(engine, bucket), NAMESPACE, lambda _table: translating(engine))


def open_in_glue(bucket: ObjectStore, database: str, translated: "Translating") -> Warehouse:
    """Open the warehouse whose catalog is a database in Glue.

    Args:
        bucket: Where the files are.
        database: Name of the database in Glue; it is created unless it exists.
        translated: Translates boto3's errors.

    Raises:
        SettingsError: The bucket is not in S3, where those who read Glue's tables look for files.
    """
    if not bucket.uri("").startswith("s3://"):
        problem = "The tables of Glue must be in S3, and the warehouse is a local folder."
        raise SettingsError("CUBIC_WAREHOUSE_URL", problem, "Give 's3://BUCKET/PREFIX'.")
    from cubic_ingestion.warehouse.glue_catalog import open_glue_catalog  # noqa: PLC0415 - pyiceberg is heavy
    from cubic_ingestion.warehouse.iceberg_warehouse import IcebergWarehouse  # noqa: PLC0415 - pyiceberg is heavy

    with translated(""):
        catalog = open_glue_catalog(database, bucket)
    return IcebergWarehouse(bucket, catalog, database, translated)


@dataclass(slots=True)
class LazyWarehouse:
    """A warehouse that is opened on first use, once per process. Threads may share it."""

    bucket: ObjectStore
    open_on: Callable[[ObjectStore], Warehouse]
    """Opens it on a bucket."""
    _one_at_a_time: Lock = field(init=False, default_factory=Lock)
    _opened: Warehouse | None = field(init=False, default=None)

    def tables(self) -> Sequence[str]:
        """Return the names of all tables, in order."""
        return self._warehouse.tables()

    def open(self, name: str) -> WarehouseTable | None:
        """Return a table as it is now, or None if there is no such table."""
        return self._warehouse.open(name)

    def create(self, name: str, schema: pa.Schema, partitioning: Sequence[PartitionField] = ()) -> WarehouseTable:
        """Create an empty table."""
        return self._warehouse.create(name, schema, partitioning)

    def drop(self, name: str) -> None:
        """Remove a table from the catalog."""
        self._warehouse.drop(name)

    def kept_keys(self) -> Collection[str]:
        """Return the keys of all objects that a kept snapshot of any table needs."""
        return self._warehouse.kept_keys()

    def unneeded_since(self) -> Mapping[str, datetime]:
        """Return since when ``clean`` knows that objects are not needed, by key."""
        return self._warehouse.unneeded_since()

    def clean(self, now: datetime, grace: timedelta, live: Callable[[], Collection[str]]) -> int:
        """Remove the objects that no kept snapshot has needed for at least the grace period."""
        return self._warehouse.clean(now, grace, live)

    @property
    def _warehouse(self) -> Warehouse:
        with self._one_at_a_time:
            if self._opened is None:
                self._opened = self.open_on(self.bucket)
            return self._opened
