"""Limits: how long work may take, and how much of it may go on at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE, Right


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much, from the settings."""

    claim_timeout_seconds: int = 900
    settle_seconds: int = 0
    sidecar_wait_seconds: int = 86_400
    snapshot_wait_seconds: int = 604_800
    max_attempts: int = 5
    max_loads_per_run: int = 10_000
    parallel_loads: int = 4
    kinesis_lease_seconds: int = 60

    def latest_end(self, right: Right, now: datetime) -> datetime:
        """Return when a right that is taken now ends at the latest, whoever's clock it is taken by.

        One that ends later was taken by a clock that is ahead, and is free to take.
        """
        seconds = self.kinesis_lease_seconds if right is Right.SHARD else self.claim_timeout_seconds
        return now + timedelta(seconds=seconds) + CLOCK_TOLERANCE
