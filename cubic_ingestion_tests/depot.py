"""A whole platform in a folder, on real parts, for tests: files go in, and what became of them comes out."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion.domain.layout import springboard_prefix
from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import CatalogUnavailableError, CubicIngestionError
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.catalog import CatalogReport, catalog
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.ingest import Report, ingest
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.passes import scan, work_off
from cubic_ingestion.pipeline.write import Written, write_load
from cubic_ingestion.ports import CatalogEntry, Keep, ProductEntry, Stores, keep_nothing
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.warehouse import LazyWarehouse, open_in_database
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.databases import POSTGRES_LIMITS, migrated_sqlite


class StoppedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def now(self) -> datetime:
        """Return the moment."""
        return self.moment

    def advance(self, **by: float) -> None:
        """Move on."""
        self.moment += timedelta(**by)


class CatalogThatIsDown:
    """A catalog that refuses."""

    address = "nowhere"

    def query(self, name: str) -> str:
        """Say so."""
        return f"nothing of {name}"

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
        """Refuse."""
        raise CatalogUnavailableError(table.name, "throttled")

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        """Refuse."""
        raise CatalogUnavailableError(entry.table.name, "throttled")

    def show(self, entry: ProductEntry) -> None:
        """Refuse."""
        raise CatalogUnavailableError(entry.name, "throttled")

    def shows(self, product: str, uris: Collection[str]) -> bool:
        """Refuse."""
        raise CatalogUnavailableError(product, f"throttled for {len(uris)}")

    def register(
        self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
    ) -> Mapping[str, CubicIngestionError]:
        """Refuse."""
        assert entries
        keep()
        raise CatalogUnavailableError("any", "throttled")


@dataclass(frozen=True)
class Depot:
    """A platform and the folder it lives in."""

    root: Path
    platform: Platform
    clock: StoppedClock

    @staticmethod
    def build(root: Path, tables: Iterable[Table], *, limits: Limits | None = None) -> "Depot":
        """Open the depot of a folder, empty at first, for some tables."""
        database = root / "metadata.sqlite"
        if not database.exists():
            database.write_bytes(migrated_sqlite())
        engine = make_engine(f"sqlite:///{database}", POSTGRES_LIMITS)
        clock = StoppedClock()
        (root / "incoming").mkdir(exist_ok=True)
        zones = {zone: LocalObjectStore(root / zone) for zone in ("incoming", "archive", "error", "springboard")}
        platform = Platform(
            tables={table.name: table for table in tables},
            ledger=Ledger(engine, now=clock.now),
            stores=Stores(**zones),
            warehouse=LazyWarehouse(
                LocalObjectStore(root / "warehouse"), lambda bucket: open_in_database(bucket, engine)
            ),
            catalog=DuckDBTableCatalog(root / "catalog.duckdb"),
            clock=clock,
            file_clock=clock,
            limits=limits or builders.limits(),
        )
        return Depot(root, platform, clock)

    def put(self, key: str, data: bytes, *, modified_at: datetime | None = None) -> Path:
        """Let a file land in Incoming."""
        path = self.root / "incoming" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if modified_at is not None:
            os.utime(path, (modified_at.timestamp(), modified_at.timestamp()))
        return path

    def scan(self) -> list[StreamName]:
        """Register and plan what lies in Incoming; returns the streams that the depot has tables of."""
        streams = {table.stream for table in self.platform.tables.values()}
        ordered = [stream for stream in StreamName if stream in streams]
        for stream in ordered:
            scan(self.platform, stream)
        return ordered

    def ingest(self, partition_keys: Collection[str] | None = None) -> list[Report]:
        """Register, plan and ingest everything once; with partitions, those are replayed."""
        self.scan()
        return self._ingest(list(self.platform.tables.values()), partition_keys)

    def archive(self) -> None:
        """Move all originals that wait for it."""
        archive(self.platform, list(self.platform.tables), run_id="test")

    def catalog(self) -> CatalogReport:
        """Tell the catalog all that it is to be told now."""
        return catalog(self.platform, list(self.platform.tables), run_id="test")

    def settle(self) -> None:
        """Do all there is to do."""
        self.end_loads()
        self.catalog()

    def end_loads(self) -> None:
        """Ingest and archive until all is done, without the catalog."""
        for _ in range(3):
            for stream in self.scan():
                work_off(self.platform, stream, ingest=self._ingest, move=lambda _: self.archive())

    def _ingest(self, tables: Sequence[Table], partition_keys: Collection[str] | None = None) -> list[Report]:
        return [
            ingest(self.platform, table, self.write_load, run_id="test", partition_keys=partition_keys)
            for table in tables
        ]

    def write_load(
        self, claim: Claim, load: Load, key: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Written | None:
        """Write a load as the IO manager does."""
        return write_load(self.platform.stores.springboard, claim, load, key, schema, batches)

    def loads(self) -> list[Load]:
        """Return all loads, oldest first."""
        return sorted(self.platform.ledger.queries.loads(limit=100_000), key=lambda load: load.id)

    def statuses(self) -> dict[str, LoadStatus]:
        """Return the status of each load by the name of its file; the newest version counts."""
        return {load.version.file_name: load.status for load in self.loads()}

    def files(self, zone: str) -> list[str]:
        """Return the keys in a zone, sorted."""
        root = self.root / zone
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def rows(self, table: Table) -> list[dict[str, object]]:
        """Return all rows of a table in Springboard, with ``load_id``."""
        root = self.root / "springboard" / springboard_prefix(table)
        files = sorted(root.rglob("*.parquet")) if root.exists() else []
        return [row for path in files for row in pq.ParquetFile(path).read().to_pylist()]
