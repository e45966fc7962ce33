"""A ledger on each kind in turn, with a clock that is set."""

from dataclasses import dataclass, field
from datetime import datetime

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.load import Placement
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import NOON, a_change_table, a_table, an_arrival, an_ods_table
from cubic_ingestion_tests.databases import database_url, engine, postgres_url

__all__ = ["database_url", "engine", "postgres_url", "watched"]

KAFKA = Table("cubic__kafka__sample", StreamName.KAFKA, "cubic/kafka/sample/")


@dataclass
class Watched:
    """A ledger with the sample tables, and what watches it."""

    engine: Engine
    moment: datetime = NOON
    tables: dict[str, Table] = field(default_factory=dict[str, Table])

    def __post_init__(self) -> None:
        """Open it."""
        self.ledger = Ledger(self.engine, now=self.now)
        self.observer = Ledger(self.engine, retry_seconds=0)
        self.declare(a_table(), an_ods_table(), a_change_table(), KAFKA)

    def now(self) -> datetime:
        """Return the moment."""
        return self.moment

    def declare(self, *tables: Table) -> None:
        """Declare tables, in place of those of the same names."""
        self.tables |= {table.name: table for table in tables}
        self.ledger.tables.sync(self.tables.values())

    def came(
        self, table: Table, name: str, source_at: datetime, *, at: datetime | None = None, partition_key: str = "p"
    ) -> int:
        """Let a file of a source time be registered and placed at a moment; returns its load's id."""
        self.moment = at or source_at
        self.ledger.intake.register([an_arrival(table, key=table.prefix + name, modified_at=self.moment)])
        (load,) = self.ledger.queries.loads(limit=1)
        self.ledger.plans.place([Placement(load.id, source_at, partition_key)])
        return load.id


@pytest.fixture
def watched(engine: Engine) -> Watched:
    """A ledger with the sample tables and no loads."""
    return Watched(engine)
