"""What the platform needs from outside, as roles; the rooms of the adapters fill them."""

from cubic_ingestion.ports.clock import Clock
from cubic_ingestion.ports.feed_client import Body, FeedClient, LinkExpiredError
from cubic_ingestion.ports.object_store import (
    BucketMissingError,
    Committed,
    ObjectChangedError,
    ObjectMissingError,
    ObjectStore,
    ObjectWriter,
    Stores,
    TellSkipped,
)
from cubic_ingestion.ports.record_source import Page, Record, RecordSource, Shard, ShardReader
from cubic_ingestion.ports.table_catalog import (
    CatalogEntry,
    CatalogPart,
    CatalogPartition,
    Keep,
    ProductEntry,
    TableCatalog,
    keep_nothing,
)
from cubic_ingestion.ports.warehouse import (
    DataFileWriter,
    PartitionField,
    UnpromotableError,
    Warehouse,
    WarehouseFile,
    WarehouseSnapshot,
    WarehouseTable,
)

__all__ = [
    "Body",
    "BucketMissingError",
    "CatalogEntry",
    "CatalogPart",
    "CatalogPartition",
    "Clock",
    "Committed",
    "DataFileWriter",
    "FeedClient",
    "Keep",
    "LinkExpiredError",
    "ObjectChangedError",
    "ObjectMissingError",
    "ObjectStore",
    "ObjectWriter",
    "Page",
    "PartitionField",
    "ProductEntry",
    "Record",
    "RecordSource",
    "Shard",
    "ShardReader",
    "Stores",
    "TableCatalog",
    "TellSkipped",
    "UnpromotableError",
    "Warehouse",
    "WarehouseFile",
    "WarehouseSnapshot",
    "WarehouseTable",
    "keep_nothing",
]
