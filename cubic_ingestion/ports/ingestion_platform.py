"""Everything a verb of the pipeline may need, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cubic_ingestion.domain.limits import Limits
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
class Platform:
    """Everything a verb of the pipeline may need; built once by ``bootstrap``."""

    tables: Mapping[str, Table]
    repository: LoadRepository
    stores: Stores
    catalog: TableCatalog
    clock: Clock
    """The ledger's clock, by which claims are taken: all processes share it where the database is a server."""
    file_clock: Clock
    """This machine's clock, by which local files get their times."""
    limits: Limits

    def claim_term(self) -> tuple[datetime, datetime]:
        """Return when a claim that is taken now begins and ends."""
        now = self.clock.now()
        return now, now + timedelta(seconds=self.limits.claim_timeout_seconds)
