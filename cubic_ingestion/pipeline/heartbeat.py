"""Heartbeats: leases are renewed while their holder works, once a third of their time has gone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from cubic_ingestion.ports import Clock

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Heartbeat:
    """When a lease is to be renewed; it was taken when this was made."""

    clock: Clock
    lease_seconds: float
    _beat_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Remember when the lease was fresh."""
        self._beat_at = self.clock.now()

    def beat(self, renew: Callable[[datetime], Answer]) -> Answer | None:
        """Renew the lease if it is time; cheap to call often.

        Args:
            renew: Given when the lease ends then.

        Returns:
            What ``renew`` returned; None if it is not time yet.
        """
        now, lease = self.clock.now(), timedelta(seconds=self.lease_seconds)
        if now - self._beat_at < lease / 3:
            return None
        self._beat_at = now
        return renew(now + lease)
