"""Release: give back what a run or a dead process held, so that the next one need not wait for its claims to expire."""

from datetime import datetime

import structlog

from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.process import is_gone

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def release(platform: Platform, run_id: str) -> int:
    """Give back all loads that a run still holds; returns how many."""
    return platform.ledger.claims.release_runs(run_id, retry_at=platform.clock.now())


def release_dead(ledger: Ledger, now: datetime) -> None:
    """Give back at once what processes of this machine held that are gone: loads, tables, feeds and shards.

    Tries at loads stay counted. Cheap: one query, unless there is somebody to judge.
    """
    for holder in ledger.claims.holders():
        if is_gone(holder):
            n_loads = ledger.claims.release_holder(holder, retry_at=now)
            if n_loads:
                _log.warning("claims of a dead process given back", holder=holder, n_loads=n_loads)
