"""What the platform needs from outside, as roles; adapters in ``storage``, ``metadata_db``, ``catalog`` fill them."""

from cubic_ingestion.ports.batch_ledger import BatchLedger
from cubic_ingestion.ports.catalog_ledger import CatalogLedger
from cubic_ingestion.ports.dagster_ledger import WHOLE_TABLE, DagsterLedger, OpenState, SomeLoads, StandingFile
from cubic_ingestion.ports.feed_client import Body, FeedClient, LinkExpiredError
from cubic_ingestion.ports.feed_repository import FeedRepository
from cubic_ingestion.ports.ingestion_platform import Clock, Limits, Platform, Stores
from cubic_ingestion.ports.load_observer import (
    ErroredLoads,
    FullLoad,
    LoadObserver,
    LoadTotal,
    Newest,
    OpenLoads,
    Passage,
    QuarantinedLoads,
)
from cubic_ingestion.ports.load_repository import LoadRepository, PartitionTotal, Place, StatusCount
from cubic_ingestion.ports.object_store import (
    BucketMissingError,
    Committed,
    ObjectChangedError,
    ObjectMissingError,
    ObjectStore,
    ObjectWriter,
    TellSkipped,
)
from cubic_ingestion.ports.outbox import OutboxBacklog, OutboxWork
from cubic_ingestion.ports.record_source import Page, Record, RecordSource, Shard, ShardReader
from cubic_ingestion.ports.scan_ledger import ScanLedger
from cubic_ingestion.ports.table_catalog import CatalogEntry, CatalogPart, CatalogPartition, TableCatalog

__all__ = [
    "WHOLE_TABLE",
    "BatchLedger",
    "Body",
    "BucketMissingError",
    "CatalogEntry",
    "CatalogLedger",
    "CatalogPart",
    "CatalogPartition",
    "Clock",
    "Committed",
    "DagsterLedger",
    "ErroredLoads",
    "FeedClient",
    "FeedRepository",
    "FullLoad",
    "Limits",
    "LinkExpiredError",
    "LoadObserver",
    "LoadRepository",
    "LoadTotal",
    "Newest",
    "ObjectChangedError",
    "ObjectMissingError",
    "ObjectStore",
    "ObjectWriter",
    "OpenLoads",
    "OpenState",
    "OutboxBacklog",
    "OutboxWork",
    "Page",
    "PartitionTotal",
    "Passage",
    "Place",
    "Platform",
    "QuarantinedLoads",
    "Record",
    "RecordSource",
    "ScanLedger",
    "Shard",
    "ShardReader",
    "SomeLoads",
    "StandingFile",
    "StatusCount",
    "Stores",
    "TableCatalog",
    "TellSkipped",
]
