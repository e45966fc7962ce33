"""Rights to work on something for a while: when one is over, who has which, and giving back all of one holder."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, update
from sqlalchemy.orm import InstrumentedAttribute

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE, MAX_PAUSE
from cubic_ingestion.ledger.models import CubicDmapFeed, CubicKafkaShard

Moment = ColumnElement[Any] | InstrumentedAttribute[datetime | None]
"""A column with a moment, which may be NULL."""


def is_over(ends_at: Moment, now: datetime, expires_at: datetime) -> ColumnElement[bool]:
    """Return the condition that a right has expired, or was taken by a clock that is ahead.

    Args:
        ends_at: Column with the end of the right; NULL if nobody has it.
        now: The present moment.
        expires_at: When the same right would end if it were taken now. One that ends much later cannot be sound.
    """
    return or_(ends_at.is_(None), ends_at <= now, ends_at > expires_at + CLOCK_TOLERANCE)


def is_due(at: Moment, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a pause is over, or was set by a clock that is ahead; NULL is no pause."""
    return or_(at.is_(None), at <= now, at > now + MAX_PAUSE + CLOCK_TOLERANCE)


def release_leases(connection: Connection, holder: str) -> None:
    """Give back the feeds and shards of a holder."""
    free = {"leased_by": None, "lease_expires_at": None}
    connection.execute(update(CubicDmapFeed).where(CubicDmapFeed.leased_by == holder).values(free))
    connection.execute(update(CubicKafkaShard).where(CubicKafkaShard.leased_by == holder).values(free))
