"""The ledger: all that is on record, in parts by role."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.ledger.batches import Batches
from cubic_ingestion.ledger.claims import Claims
from cubic_ingestion.ledger.counts import Counts
from cubic_ingestion.ledger.deliveries import Deliveries
from cubic_ingestion.ledger.differences import Differences
from cubic_ingestion.ledger.feeds import Feeds
from cubic_ingestion.ledger.generations import Generations
from cubic_ingestion.ledger.intake import Intake
from cubic_ingestion.ledger.outcomes import Outcomes
from cubic_ingestion.ledger.partitions import Partitions
from cubic_ingestion.ledger.plans import Plans
from cubic_ingestion.ledger.product_trouble import ProductTrouble
from cubic_ingestion.ledger.products import Products
from cubic_ingestion.ledger.queries import Queries
from cubic_ingestion.ledger.retention import Retention
from cubic_ingestion.ledger.schemas import Schemas
from cubic_ingestion.ledger.shards import Shards
from cubic_ingestion.ledger.steps import Steps
from cubic_ingestion.ledger.tables import Tables
from cubic_ingestion.ledger.transactions import RETRY_SECONDS, Transactions
from cubic_ingestion.ledger.trouble import Trouble


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger, on SQLite or PostgreSQL. Every change of status is an atomic compare-and-set.

    Args:
        engine: From ``make_engine``.
        now: Tells the time for ``inserted_at`` and ``updated_at``, where a call does not give it.
        retry_seconds: How long a call may try before it fails; 0 for who would rather know at once.
    """

    def __init__(
        self, engine: Engine, now: Callable[[], datetime] = _utc_now, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._engine = engine
        database = Transactions(engine, retry_seconds)
        self.tables = Tables(database, now)
        self.intake = Intake(database, now)
        self.plans = Plans(database, now)
        self.claims = Claims(database, now)
        self.outcomes = Outcomes(database, now)
        self.trouble = Trouble(database, now)
        self.queries = Queries(database, now)
        self.partitions = Partitions(database, now)
        self.schemas = Schemas(database, now)
        self.counts = Counts(database, now)
        self.steps = Steps(database, now)
        self.retention = Retention(database, now)
        self.deliveries = {consumer: Deliveries(database, now, consumer) for consumer in Consumer}
        self.products = Products(database, now)
        self.product_trouble = ProductTrouble(database, now)
        self.differences = Differences(database, now)
        self.generations = Generations(database, now)
        self.shards = Shards(database, now)
        self.batches = Batches(database, now)
        self.feeds = Feeds(database, now)

    def without_retries(self) -> "Ledger":
        """Return a ledger on the same connections for whoever would rather know at once that the database is away."""
        return Ledger(self._engine, retry_seconds=0)

    def close(self) -> None:
        """Close the connections to the database that nobody uses now."""
        self._engine.dispose()
