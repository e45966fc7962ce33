"""Claims beside transactions of others that are not finished yet, on PostgreSQL, where both really run at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from inspect import unwrap
from typing import Any

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.load import Load, LoadError, Placement
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger import claims
from cubic_ingestion.ledger.engine import writing
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.outcomes import Outcomes
from cubic_ingestion_tests.builders import NOON, a_table, an_arrival

TABLE = a_table()
AT_NOON: dict[str, Any] = {"now": NOON, "expires_at": NOON + timedelta(minutes=15), "partition_keys": None}
LONG_ENOUGH_SECONDS = 0.5
"""For a claim that does not wait as it should to come back; one that waits makes no test fail, however slow."""

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """Return a ledger with two versions of one file, both ready."""
    ledger = Ledger(engine)
    ledger.tables.sync([TABLE])
    ledger.intake.register([an_arrival(TABLE, etag="1"), an_arrival(TABLE, etag="2")])
    ledger.plans.place([Placement(load.id, NOON, "2022-03-04") for load in ledger.queries.loads()])
    return ledger


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Return a second thread, for the other worker."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_a_claim_waits_for_another_that_may_take_a_version_of_the_same_key(
    ledger: Ledger, engine: Engine, threads: ThreadPoolExecutor
) -> None:
    with writing(engine) as connection:
        mine = claims._take(connection, [TABLE.name], Work.INGEST, "a", limit=1, **AT_NOON)  # pyright: ignore[reportPrivateUsage] - a transaction that does not end
        other = threads.submit(_claim, ledger)
        wait([other], LONG_ENOUGH_SECONDS)
    assert (len(mine), other.result()) == (1, [])


def test_a_claim_does_not_take_what_another_is_rejecting(
    ledger: Ledger, engine: Engine, threads: ThreadPoolExecutor
) -> None:
    rejected, free = sorted(ledger.queries.loads(), key=lambda load: load.id)
    with writing(engine) as connection:
        unwrap(Outcomes.reject)(ledger.outcomes, connection, NOON, rejected.id, LoadError("bad", "It is bad."))
        other = threads.submit(_claim, ledger)
        wait([other], LONG_ENOUGH_SECONDS)
    assert [load.id for load in other.result()] == [free.id]
    assert {load.id: load.status for load in ledger.queries.loads()} == {
        rejected.id: LoadStatus.READY_FOR_ERRORING,
        free.id: LoadStatus.INGESTING,
    }


def _claim(ledger: Ledger) -> Sequence[Load]:
    return ledger.claims.take([TABLE.name], Work.INGEST, claimant="b", limit=10, **AT_NOON)
