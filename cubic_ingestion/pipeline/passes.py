"""Passes: what one pass of a stream is, and when each of its steps is due.

A pass lists Incoming (``scan``), ingests what is ready, and moves the originals of what has ended (``work_off``). Then
the catalog is updated. Sensors request the steps as runs of Dagster, each when it is due; ``cubic ingest`` executes the
same runs in its own process.
"""

from collections.abc import Callable, Sequence

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import Registration, register
from cubic_ingestion.pipeline.release import release_dead

_INGEST = (Work.INGEST, Work.REPLAY)
_MOVE = (Work.ARCHIVE, Work.ERROR)


def scan(
    platform: Platform, stream: StreamName, *, after: str = "", timeout_seconds: float = float("inf")
) -> Registration:
    """Register what lies in a stream's Incoming, and plan it.

    Args:
        platform: Where.
        stream: Which prefix of Incoming to list.
        after: Key after which the listing goes on; all of it if empty.
        timeout_seconds: The listing stops after this time, and says where to go on.

    Raises:
        RetriableError: The ledger or the bucket does not answer.
    """
    release_dead(platform.ledger, platform.clock.now())  # first: what is given back is planned anew
    registration = register(platform, stream, after=after, timeout_seconds=timeout_seconds)
    plan(platform, stream)
    return registration


def work_off(
    platform: Platform,
    stream: StreamName,
    *,
    ingest: Callable[[Sequence[Table]], object],
    move: Callable[[StreamName], object],
) -> None:
    """Do what is due to the loads of a stream after its scan, in order.

    Args:
        platform: Where.
        stream: Whose loads.
        ingest: Ingests what is ready of some tables.
        move: Moves the originals of a stream that wait for it.

    Raises:
        RetriableError: The ledger does not answer.
    """
    if tables := tables_to_ingest(platform, stream):
        ingest(tables)
    if has_originals_to_move(platform, stream):
        move(stream)


def tables_to_ingest(platform: Platform, stream: StreamName) -> list[Table]:
    """Return the active tables of a stream that have loads to ingest now, or to ingest again, by name."""
    names = [table.name for table in platform.tables.values() if table.stream is stream and table.is_active]
    now, expires_at = platform.claim_term()
    claimable = {
        name
        for work in _INGEST
        for name in platform.ledger.claims.claimable(names, work, now=now, expires_at=expires_at)
    }
    return [platform.tables[name] for name in sorted(claimable)]


def has_originals_to_move(platform: Platform, stream: StreamName) -> bool:
    """Say whether originals of a stream wait to be moved to Archive or Error."""
    release_dead(platform.ledger, platform.clock.now())
    return _is_any_claimable(platform, stream, _MOVE, through=None)


def has_work(platform: Platform, stream: StreamName, *, through: int | None) -> bool:
    """Say whether anything is due to a stream's loads with an id up to ``through``, or to any if it is None."""
    return _is_any_claimable(platform, stream, tuple(Work), through=through)


def is_catalog_update_due(platform: Platform) -> bool:
    """Say whether the catalog has yet to be told of changes, and may be told now."""
    release_dead(platform.ledger, platform.clock.now())
    now, expires_at = platform.claim_term()
    return bool(platform.ledger.deliveries[Consumer.CATALOG].due(list(platform.tables), now=now, expires_at=expires_at))


def _is_any_claimable(platform: Platform, stream: StreamName, works: tuple[Work, ...], *, through: int | None) -> bool:
    names = [table.name for table in platform.tables.values() if table.stream is stream]
    now, expires_at = platform.claim_term()
    return any(
        platform.ledger.claims.claimable(names, work, now=now, expires_at=expires_at, through=through) for work in works
    )
