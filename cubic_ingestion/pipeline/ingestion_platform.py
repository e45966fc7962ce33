"""Everything a verb of the pipeline may need, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ports import Clock, Stores, TableCatalog, Warehouse


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything a verb of the pipeline may need; built by ``bootstrap``, once per process."""

    tables: Mapping[str, Table]
    ledger: Ledger
    stores: Stores
    warehouse: Warehouse
    """The tables that people query; opened on first use."""
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

    def __enter__(self) -> Self:
        """Return this platform, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connections to the ledger's database; the other parts keep none that a server counts."""
        self.ledger.close()
