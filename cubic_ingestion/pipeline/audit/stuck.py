"""Loads that nobody will ever finish, though nothing is missing of them; and what a wrong clock holds."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cubic_ingestion.domain.holding import Right
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import ENDED, LoadStatus
from cubic_ingestion.pipeline.audit.findings import Finding, FindingCode
from cubic_ingestion.pipeline.ingestion_platform import Platform

_CLOCK_IS_AHEAD = "A claim that is taken now ends earlier, so the clock of that process is ahead: set it."


def stuck(platform: Platform, load: Load, now: datetime) -> Finding | None:
    """Say why nobody can, or does, work on a load.

    An expired claim is taken over by the next run, and a load that waits is looked at every few minutes; so both are
    stuck only after longer than any run would have let them be. A ready load of an inactive table is meant to wait.
    """
    problem = (
        _ahead(platform, load, now)
        or _expired(platform, load, now)
        or _unreachable(platform, load)
        or _forgotten(platform, load, now)
    )
    zone = "archive" if load.archive_key else "incoming"
    return Finding.of(FindingCode.STUCK, zone, load.version.key, problem, load) if problem else None


def held_too_long(platform: Platform, now: datetime) -> Iterator[Finding]:
    """Yield tables, feeds and shards that a process holds whose clock is ahead; ``stuck`` has the loads."""
    for holding in platform.ledger.claims.holdings():
        if holding.right is not Right.LOADS and holding.ends_at > platform.limits.latest_end(holding.right, now):
            problem = f"{holding.holder} holds it until {holding.ends_at:%Y-%m-%d %H:%M:%S} UTC. {_CLOCK_IS_AHEAD}"
            yield Finding.of(FindingCode.STUCK, holding.consumer or "incoming", holding.name, problem)


def _ahead(platform: Platform, load: Load, now: datetime) -> str:
    if load.claim_expires_at is None or load.claim_expires_at <= platform.limits.latest_end(Right.LOADS, now):
        return ""
    return f"{load.claimed_by} holds it until {load.claim_expires_at:%Y-%m-%d %H:%M:%S} UTC. {_CLOCK_IS_AHEAD}"


def _expired(platform: Platform, load: Load, now: datetime) -> str:
    is_done = load.status in ENDED and not load.is_replay_due  # nothing waits for the end of a replay that died
    patience = timedelta(seconds=2 * platform.limits.claim_timeout_seconds)
    if is_done or load.claim_expires_at is None or now - load.claim_expires_at <= patience:
        return ""
    return f"The claim on it expired at {load.claim_expires_at:%Y-%m-%d %H:%M:%S} UTC, and nobody took it over."


def _unreachable(platform: Platform, load: Load) -> str:
    table = platform.tables.get(load.table)
    if load.status in ENDED or (table is not None and table.is_active):
        return ""
    if table is not None and load.status is LoadStatus.READY:
        return ""
    return f"It is {load.status}, and its table {load.table} is {'inactive' if table else 'not declared any longer'}."


def _forgotten(platform: Platform, load: Load, now: datetime) -> str:
    limits, table = platform.limits, platform.tables.get(load.table)
    if load.status is not LoadStatus.READY or load.partition_key or table is None or not table.is_active:
        return ""
    longest = max(limits.sidecar_wait_seconds, limits.snapshot_wait_seconds) + 2 * limits.claim_timeout_seconds
    if now - load.updated_at <= timedelta(seconds=longest):
        return ""
    return f"Nobody has looked at it since {load.updated_at:%Y-%m-%d %H:%M:%S} UTC."
