"""Rights to work on something for a while: when one is over, who has which, and giving back all of one holder."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, union, update
from sqlalchemy.orm import InstrumentedAttribute

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE, MAX_PAUSE, Holding, Right
from cubic_ingestion.metadata_db.models import CubicDmapFeed, CubicKafkaShard, CubicLoad, CubicTable

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


def holdings(connection: Connection) -> list[Holding]:
    """Select everything that somebody holds, expired or not; loads are counted by table and holder."""
    ends_at = func.max(CubicLoad.claim_expires_at, type_=CubicLoad.claim_expires_at.type)
    loads = (
        select(CubicTable.name, CubicLoad.claimed_by, ends_at, func.count())
        .join(CubicTable, CubicTable.id == CubicLoad.table_id)
        .where(CubicLoad.claimed_by.is_not(None))
        .group_by(CubicTable.name, CubicLoad.claimed_by)
        .order_by(CubicTable.name, CubicLoad.claimed_by)
    )
    found = [Holding(Right.LOADS, *row) for row in connection.execute(loads)]
    others = {
        Right.CATALOG: (CubicTable.name, CubicTable.catalog_claimed_by, CubicTable.catalog_due_at),
        Right.DAGSTER: (CubicTable.name, CubicTable.dagster_claimed_by, CubicTable.dagster_due_at),
        Right.FEED: (CubicDmapFeed.relative_url, CubicDmapFeed.leased_by, CubicDmapFeed.lease_expires_at),
        Right.SHARD: (CubicKafkaShard.shard, CubicKafkaShard.leased_by, CubicKafkaShard.lease_expires_at),
    }
    for right, (name, holder, until) in others.items():
        statement = select(name, holder, until).where(holder.is_not(None), until.is_not(None)).order_by(name)
        found += [Holding(right, *row) for row in connection.execute(statement)]
    return found


def holders(connection: Connection) -> Sequence[str]:
    """Select everybody who holds something; of loads, from an index of those that are held."""
    of_tables = (CubicTable.catalog_claimed_by, CubicTable.dagster_claimed_by)
    columns = (CubicLoad.claimed_by, *of_tables, CubicDmapFeed.leased_by, CubicKafkaShard.leased_by)
    statement = union(*(select(column).where(column.is_not(None)).distinct() for column in columns))
    return [holder for holder in connection.execute(statement).scalars() if holder is not None]


def release_leases(connection: Connection, holder: str) -> None:
    """Give back the feeds and shards of a holder."""
    free = {"leased_by": None, "lease_expires_at": None}
    connection.execute(update(CubicDmapFeed).where(CubicDmapFeed.leased_by == holder).values(free))
    connection.execute(update(CubicKafkaShard).where(CubicKafkaShard.leased_by == holder).values(free))
