"""Holdings: who has the right to work on what, and until when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far the clocks of two workers may differ before the claims of one look wrong to the other."""

MAX_PAUSE = timedelta(hours=1)
"""The longest pause before anything is tried again. A moment further ahead was set by a wrong clock."""


class Right(StrEnum):
    """What somebody may have the right to work on."""

    LOADS = "loads"
    DELIVERIES = "deliveries"
    FEED = "feed"
    SHARD = "shard"


_SUBJECTS = {
    Right.FEED: "the feed",
    Right.SHARD: "the shard",
}


@dataclass(frozen=True, slots=True)
class Holding:
    """A right that somebody has, expired or not."""

    right: Right
    name: str
    """The table (of loads, and of deliveries to a consumer), the feed, or the shard."""
    holder: str
    """Who has it: a claimant or the owner of a lease."""
    ends_at: datetime
    n_loads: int = 0
    """Loads held; 0 of everything else."""
    consumer: str = ""
    """Whose deliveries are held; empty for everything else."""

    @property
    def subject(self) -> str:
        """What is held, in words."""
        if self.right is Right.LOADS:
            return f"{counted(self.n_loads, 'load')} of {self.name}"
        if self.right is Right.DELIVERIES:
            # A newer release may know consumers that this one does not.
            consumer = next((each.called for each in Consumer if each == self.consumer), f"'{self.consumer}'")
            return f"the changes of {self.name} for {consumer}"
        return f"{_SUBJECTS[self.right]} {self.name}"

    @property
    def is_of_a_table(self) -> bool:
        """Whether ``name`` is a table's."""
        return self.right in {Right.LOADS, Right.DELIVERIES}

    @property
    def run_id(self) -> str:
        """The Dagster run that a claimant belongs to; of a lease, the token of its owner."""
        return self.holder.partition("/")[0]
