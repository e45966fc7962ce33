"""What the suites of the change feed share: what it holds, what waits for a consumer, and a replay to change it."""

from collections.abc import Sequence

from sqlalchemy import Engine, text

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import TableDeliveries
from cubic_ingestion_tests.contracts.ledgers import (
    AT_NOON,
    BASE,
    DMAP,
    an_ingested,
    claim,
)


def changes(engine: Engine, *loads: Load) -> list[tuple[str, str | None]]:
    """Return the feed of some loads, in order, as kind and location."""
    ids = ", ".join(str(load.id) for load in loads)
    with engine.connect() as connection:
        rows = connection.execute(
            text(f"SELECT kind, location FROM cubic_changes WHERE load_id IN ({ids}) ORDER BY id")
        ).tuples()
        return [(kind, location) for kind, location in rows]


def deliveries(ledger: Ledger, consumer: Consumer, claimant: str = "run-9/a") -> Sequence[TableDeliveries]:
    tables = [DMAP.name, BASE.name]
    return ledger.deliveries[consumer].claim(tables, claimant=claimant, **AT_NOON, n_tables=9, n_changes=99)


def process(ledger: Ledger, consumer: Consumer) -> None:
    """Process all that waits for a consumer."""
    for work in deliveries(ledger, consumer):
        assert ledger.deliveries[consumer].complete("run-9/a", work)


def become_new(engine: Engine, consumer: Consumer) -> None:
    """Have a consumer that the ledger has never heard of."""
    with engine.begin() as connection:
        for table in ("cubic_consumers", "cubic_deliveries"):
            connection.execute(text(f"DELETE FROM {table} WHERE consumer = '{consumer}'"))


def replay(ledger: Ledger, load: Load, location: str | None = None) -> None:
    ledger.outcomes.mark_replay([load.id])
    claim(ledger, Work.REPLAY)
    stands_at = location or f"{load.version.key}.parquet"
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, location=stands_at)])
