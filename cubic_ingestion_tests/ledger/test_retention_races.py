"""Retention while changes are delivered again: no delivery is left without its change, whoever commits first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, BASE, DMAP, an_ingested, archived, claim, ingested
from cubic_ingestion_tests.ledger.test_postgres import WAIT_SECONDS, in_a_transaction, wait_until_somebody_waits

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

SOON = datetime.now(UTC) + timedelta(days=1)
"""After all that a test records."""


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    ledger.tables.sync([DMAP, BASE])
    return ledger


def process_all(ledger: Ledger) -> None:
    for deliveries in ledger.deliveries.values():
        for work in deliveries.claim([DMAP.name, BASE.name], claimant="run-9/a", **AT_NOON, n_tables=9, n_changes=99):
            deliveries.complete("run-9/a", work)


def forget_the_catalog(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM cubic_consumers WHERE consumer = 'catalog'"))


def without_change(engine: Engine) -> list[int]:
    """Return the changes that are to be delivered, and are gone."""
    statement = "SELECT change_id FROM cubic_deliveries WHERE change_id NOT IN (SELECT id FROM cubic_changes)"
    with engine.connect() as connection:
        return list(connection.execute(text(statement)).scalars())


def begin(ledger: Ledger) -> object:
    tables = [DMAP.name, BASE.name]
    return ledger.deliveries[Consumer.CATALOG].claim(tables, claimant="run-8/a", **AT_NOON, n_tables=9, n_changes=99)


@pytest.mark.parametrize("deliver", [begin, lambda ledger: ledger.deliveries[Consumer.CATALOG].refresh()])
def test_a_change_that_is_being_delivered_again_is_not_forgotten(
    database_url: str, engine: Engine, ledger: Ledger, deliver: Callable[[Ledger], object]
) -> None:
    (load,) = archived(ledger, "a.csv")
    ingested(ledger, "LOAD1.csv.gz", table=BASE)
    process_all(ledger)
    if deliver is begin:
        forget_the_catalog(engine)
    same_delivery = (
        "INSERT INTO cubic_deliveries (consumer, table_id, change_id)"
        " SELECT 'catalog', table_id, id FROM cubic_changes ORDER BY id DESC LIMIT 1"
    )
    with ThreadPoolExecutor(1) as threads, in_a_transaction(database_url, same_delivery) as other:
        done = threads.submit(deliver, ledger)
        wait_until_somebody_waits(database_url, "INSERT INTO cubic_deliveries")  # at the second table
        ledger.outcomes.mark_replay([load.id])
        claim(ledger, Work.REPLAY)
        ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)])
        ledger.retention.forget(SOON)
        other.rollback()
        done.result(timeout=WAIT_SECONDS)

    assert without_change(engine) == []


def test_a_change_that_is_being_forgotten_is_not_delivered_again(
    database_url: str, engine: Engine, ledger: Ledger
) -> None:
    loads = archived(ledger, "a.csv", "b.csv")
    catalog = ledger.deliveries[Consumer.CATALOG]
    (late,) = catalog.claim([DMAP.name], claimant="run-8/a", **AT_NOON, n_tables=9, n_changes=99)
    ledger.claims.release_runs("run-8", retry_at=AT_NOON["now"])
    for load in loads:
        ledger.outcomes.mark_replay([load.id])
    claim(ledger, Work.REPLAY)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load) for load in loads])
    process_all(ledger)
    last = f"SELECT 1 FROM cubic_changes WHERE id = {late.deliveries[-1].change_id} FOR UPDATE"
    with ThreadPoolExecutor(2) as threads, in_a_transaction(database_url, last) as other:
        forgotten = threads.submit(ledger.retention.forget, SOON)
        wait_until_somebody_waits(database_url, "DELETE FROM cubic_changes")
        completed = threads.submit(catalog.complete, "run-8/a", late)
        wait_until_somebody_waits(database_url, "advisory")
        other.rollback()
        forgotten.result(timeout=WAIT_SECONDS)
        assert not completed.result(timeout=WAIT_SECONDS)

    assert without_change(engine) == []
