"""The same deliveries with all zones in S3, as prefixes of one bucket, and the catalog in Glue: as in production."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cubic_ingestion.catalog.glue_table_catalog import GlueTableCatalog
from cubic_ingestion.ports import Stores
from cubic_ingestion.storage.s3_client import s3_client
from cubic_ingestion.storage.s3_object_store import S3ObjectStore
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import DELIVERIES, PROCESSES, stage_of, strike

ZONES = ("incoming", "archive", "error", "springboard")


@dataclass(frozen=True)
class Bucket:
    """A bucket that depots share, each below a prefix of its own."""

    name: str
    environment: Mapping[str, str]
    """AWS's variables, by which another process finds it."""

    def opened(self, root: Path, kind: str) -> Depot:
        """Open the depot of a folder; what is left in the folder is its ledger."""
        depot, client = stage_of(root, kind), s3_client("path", 10)
        zones = {zone: S3ObjectStore(client, self.name, f"{root.name}/{zone}/") for zone in ZONES}
        catalog = GlueTableCatalog(f"{self.name}-{root.name}")
        return replace(depot, platform=replace(depot.platform, stores=Stores(**zones), catalog=catalog))

    def deliver(self, root: Path, kind: str) -> Depot:
        """Make a depot into which a delivery has just come."""
        depot = self.opened(root, kind)
        for key, body in DELIVERIES[kind].files.items():
            with depot.platform.stores.incoming.writer(key) as writer:
                writer.file.write(body)
                writer.commit()
        return depot

    def strike_in_a_process(self, root: Path, kind: str, at: str, fault: Fault) -> int | None:
        """Work with a fault in a process of its own; returns what it exited with, negative for a signal."""
        process = PROCESSES.Process(target=_strike, args=(self, root, kind, at, fault))
        process.start()
        process.join()
        return process.exitcode


def _strike(bucket: Bucket, root: Path, kind: str, at: str, fault: Fault) -> None:
    os.environ |= bucket.environment
    strike(bucket.opened(root, kind), FaultPlan(at, fault, is_real=True))


def mirrored(depot: Depot) -> Depot:
    """Copy all zones into the depot's folder, where they can be looked at like those of a local one."""
    for zone in ZONES:
        store = getattr(depot.platform.stores, zone)
        for version in (version for page in store.list("") for version in page):
            path = depot.root / zone / version.key
            path.parent.mkdir(parents=True, exist_ok=True)
            with store.open(version.key) as body:
                path.write_bytes(body.read())
    return depot
