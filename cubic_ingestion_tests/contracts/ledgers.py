"""What the suites of the load ledger share: a ledger with tables, and short ways to a load in any status."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict

from cubic_ingestion.domain.load import Ingested, Load, Placement
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import NOON, a_change_table, a_table, an_arrival, an_ods_table

DMAP, BASE, CHANGES = a_table(), an_ods_table(), a_change_table()
LATER = NOON + timedelta(minutes=15)
"""When claims taken at noon expire."""


class Term(TypedDict):
    """When a claim begins and ends."""

    now: datetime
    expires_at: datetime


AT_NOON: Term = {"now": NOON, "expires_at": LATER}
AT_LATER: Term = {"now": LATER, "expires_at": LATER + (LATER - NOON)}
DAY = "2022-03-04"


def register(ledger: Ledger, *names: str, table: Table = DMAP) -> list[Load]:
    """Register a file for each name; returns the loads in that order."""
    ledger.intake.register([an_arrival(table, key=table.prefix + name) for name in names])
    by_key = {load.version.key: load for load in ledger.queries.loads(limit=10_000)}
    return [by_key[table.prefix + name] for name in names]


def place(
    ledger: Ledger,
    loads: Sequence[Load],
    partition_key: str = DAY,
    *,
    source_at: datetime = NOON,
    snapshot: datetime | None = None,
) -> None:
    """Place loads, all in the same partition."""
    ledger.plans.place([Placement(load.id, source_at, partition_key, snapshot) for load in loads])


def ready(ledger: Ledger, *names: str, table: Table = DMAP, snapshot: datetime | None = None) -> list[Load]:
    """Register and place a file for each name."""
    loads = register(ledger, *names, table=table)
    place(ledger, loads, snapshot=snapshot)
    return loads


def claim(
    ledger: Ledger,
    work: Work = Work.INGEST,
    claimant: str = "run-1/a",
    *,
    table: Table = DMAP,
    now: datetime = NOON,
    expires_at: datetime = LATER,
    limit: int = 100,
    partition_keys: Sequence[str] | None = None,
) -> Sequence[Load]:
    """Claim a table's loads at noon for a quarter of an hour."""
    return ledger.claims.take(
        [table.name],
        work,
        claimant=claimant,
        now=now,
        expires_at=expires_at,
        limit=limit,
        partition_keys=partition_keys,
    )


def an_ingested(load: Load, partition_key: str = DAY, **changes: Any) -> Ingested:
    """Build what became of a load."""
    fields: dict[str, Any] = {"n_rows": 3, "n_bytes": 300, "location": f"{load.version.key}.parquet"}
    return Ingested(load.id, partition_key, **(fields | changes))


def ingested(ledger: Ledger, *names: str, table: Table = DMAP, snapshot: datetime | None = None) -> list[Load]:
    """Bring a file for each name to ``ready_for_archiving``."""
    loads = ready(ledger, *names, table=table, snapshot=snapshot)
    claim(ledger, table=table)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load) for load in loads])
    return loads


def archived(ledger: Ledger, *names: str, table: Table = DMAP, snapshot: datetime | None = None) -> list[Load]:
    """Bring a file for each name to ``archived``."""
    loads = ingested(ledger, *names, table=table, snapshot=snapshot)
    claim(ledger, Work.ARCHIVE, table=table)
    ledger.outcomes.complete_archive("run-1/a", {load.id: f"archive/{load.version.key}" for load in loads})
    return loads


def reread(ledger: Ledger, load: Load) -> Load:
    """Return a load as it is now."""
    now = ledger.queries.load(load.id)
    assert now is not None
    return now
