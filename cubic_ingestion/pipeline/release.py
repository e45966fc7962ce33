"""Release: give back what a run held, so that the next one need not wait for its claims to expire."""

from cubic_ingestion.ports import Platform


def release(platform: Platform, run_id: str) -> int:
    """Give back all loads that a run still holds; returns how many."""
    return platform.repository.release_runs(run_id, retry_at=platform.clock.now())
