"""Changes on their way to a consumer, as the metadata database keeps them: the shapes that all outboxes share."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class OutboxWork:
    """Changes of one table that somebody has leased, to bring them to their consumer."""

    table: str
    changes: Mapping[int, str]
    """What changed, by the change's id; the same thing may have changed several times."""
    attempts: int
    """How many tries in a row have failed for the table."""
    seeds: Collection[int] = ()
    """Ids of changes that an upgrade recorded, in case the consumer never learned of them."""


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """Changes of one table that its consumer does not know yet."""

    table: str
    n_changes: int
    oldest_at: datetime
    """When the first of them was recorded."""
    due_at: datetime | None
    """When they are tried (again), or when a lease on them ends; None if at once."""
    error: str | None
    """Why the last try failed."""
