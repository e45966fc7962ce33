"""Limits: how long work may take, and how much of it may go on at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE, Right

_PAUSE_PER_SECOND, _LONGEST_PAUSE = 10, timedelta(hours=1)
"""How long a product rests per second that its last merge took, and the longest that it rests."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much. The settings have the defaults, and nobody else."""

    claim_timeout_seconds: int
    settle_seconds: int
    sidecar_wait_seconds: int
    snapshot_wait_seconds: int
    max_attempts: int
    max_loads_per_run: int
    parallel_loads: int
    kinesis_lease_seconds: int
    products_every_seconds: int
    warehouse_grace_hours: int
    snapshot_settle_seconds: int

    def latest_end(self, right: Right, now: datetime) -> datetime:
        """Return when a right that is taken now ends at the latest, whoever's clock it is taken by.

        One that ends later was taken by a clock that is ahead, and is free to take.
        """
        seconds = self.kinesis_lease_seconds if right is Right.SHARD else self.claim_timeout_seconds
        return now + timedelta(seconds=seconds) + CLOCK_TOLERANCE

    def rest_after(self, merge_seconds: float | None) -> timedelta:
        """Return how long a product rests after a merge that took so long; None if no merge was measured."""
        seconds = min(_PAUSE_PER_SECOND * (merge_seconds or 0), _LONGEST_PAUSE.total_seconds())
        return timedelta(seconds=max(seconds, self.products_every_seconds))
