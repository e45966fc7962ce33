"""Loads that nobody will ever finish, though nothing is missing of them."""

from datetime import datetime, timedelta

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.pipeline.audit.expected import ENDED
from cubic_ingestion.pipeline.audit.findings import Finding, FindingCode
from cubic_ingestion.ports import Platform


def stuck(platform: Platform, load: Load, now: datetime) -> Finding | None:
    """Say why nobody can, or does, work on a load.

    An expired claim is taken over by the next run, and a load that waits is looked at every few minutes; so both are
    stuck only after longer than any run would have let them be. A ready load of an inactive table is meant to wait.
    """
    problem = _expired(platform, load, now) or _unreachable(platform, load) or _forgotten(platform, load, now)
    zone = "archive" if load.archive_key else "incoming"
    return Finding.of(FindingCode.STUCK, zone, load.version.key, problem, load) if problem else None


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
