"""Steps: what is recorded of a load's way, each with its time and the run that took it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StepKind(StrEnum):
    """A step of a load. The values are contract: people query them."""

    REGISTERED = "registered"
    """Its object version was seen in Incoming. Kept in the load itself, as ``inserted_at``."""
    PLANNED = "planned"
    """It got its partition, or another one."""
    CLAIMED = "claimed"
    """A run took it to ingest it, or to ingest it again."""
    PUBLISHED = "published"
    """Its rows are in Springboard."""
    ARCHIVED = "archived"
    """Its original is in Archive."""
    REJECTED = "rejected"
    """It, or its replay, was rejected."""
    ERRORED = "errored"
    """Its original is in Error."""
    RETRIED = "retried"
    """A person brought it back from Error."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a load has taken."""

    kind: StepKind
    at: datetime
    run_id: str | None
    """The Dagster run, or None for what no run did: a sensor or a command."""
