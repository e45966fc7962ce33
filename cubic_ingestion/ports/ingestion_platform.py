"""Everything a verb of the pipeline may need, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cubic_ingestion.domain.table import Table
from cubic_ingestion.ports.load_repository import LoadRepository
from cubic_ingestion.ports.object_store import ObjectStore
from cubic_ingestion.ports.table_catalog import TableCatalog


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The four zones."""

    incoming: ObjectStore
    archive: ObjectStore
    error: ObjectStore
    springboard: ObjectStore


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much, from the settings."""

    claim_timeout_seconds: int = 900
    settle_seconds: int = 0
    sidecar_wait_seconds: int = 86_400
    snapshot_wait_seconds: int = 604_800
    max_attempts: int = 5
    max_loads_per_run: int = 10_000
    parallel_loads: int = 4


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything a verb of the pipeline may need; built once by ``bootstrap``."""

    tables: Mapping[str, Table]
    repository: LoadRepository
    stores: Stores
    catalog: TableCatalog
    clock: Clock
    limits: Limits
