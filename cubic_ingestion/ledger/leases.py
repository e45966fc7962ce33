"""Leases: the right to work on something for a while. Whoever dies with one loses it when it ends.

Every lease is kept in two columns of the row that it is for: who holds it, and when it ends. A holder renews its leases
once a third of their time has gone (``pipeline/heartbeat.py``). One that ends much later than a new one would was taken
by a clock that is ahead; it is taken over like one that has ended.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from cubic_ingestion.domain.holding import CLOCK_TOLERANCE, MAX_PAUSE, Holding, Right
from cubic_ingestion.ledger.change_models import CubicConsumer
from cubic_ingestion.ledger.columns import UtcDateTime
from cubic_ingestion.ledger.models import Base, CubicDmapFeed, CubicKafkaShard, CubicLoad, CubicTable

Moment = ColumnElement[Any] | InstrumentedAttribute[datetime | None]
"""A column with a moment, which may be NULL."""


_NOW = bindparam("now", type_=UtcDateTime)
_LATEST_END = bindparam("latest_end", type_=UtcDateTime)
_LATEST_PAUSE = bindparam("latest_pause", type_=UtcDateTime)


def is_over(ends_at: Moment) -> ColumnElement[bool]:
    """Return the condition that a lease has ended, or was taken by a clock that is ahead; ``moments`` says when.

    Args:
        ends_at: Column with the end of the lease; NULL if nobody holds it.
    """
    return or_(ends_at.is_(None), ends_at <= _NOW, ends_at > _LATEST_END)


def is_due(at: Moment) -> ColumnElement[bool]:
    """Return the condition that a pause is over, or was set by a clock that is ahead; ``moments`` says when.

    Args:
        at: Column with the end of the pause; NULL if there is none.
    """
    return or_(at.is_(None), at <= _NOW, at > _LATEST_PAUSE)


def moments(now: datetime, expires_at: datetime | None = None) -> dict[str, datetime]:
    """Return the parameters of a statement that asks what is over or due.

    Args:
        now: The present moment.
        expires_at: When a lease would end if it were taken now: one that ends much later cannot be sound. None if it is
            asked only what is due.
    """
    latest_end = {} if expires_at is None else {"latest_end": expires_at + CLOCK_TOLERANCE}
    return {"now": now, "latest_pause": now + MAX_PAUSE + CLOCK_TOLERANCE, **latest_end}


class Lease:
    """The leases of one kind.

    Args:
        right: What they are for.
        model: The table whose rows are leased.
        name: What people know a row by.
        holder: The column with who holds a row.
        ends_at: The column with when that ends.
        consumer: Of the right to a consumer's deliveries, whose.
    """

    def __init__(
        self,
        right: Right,
        model: type[Base],
        name: ColumnElement[str] | InstrumentedAttribute[str],
        holder: str,
        ends_at: str,
        consumer: InstrumentedAttribute[str] | None = None,
    ) -> None:
        columns = model.__table__.c
        self.right = right
        self._model = model
        self._name, self._consumer = name, literal("") if consumer is None else consumer
        self.holder = columns[holder]
        self.ends_at = columns[ends_at]

    def taken(self, holder: str, expires_at: datetime) -> dict[str, Any]:
        """Return the column values of a row that somebody holds."""
        return {self.holder.key: holder, self.ends_at.key: expires_at}

    def given_back(self) -> dict[str, Any]:
        """Return the column values of a row that nobody holds."""
        return {self.holder.key: None, self.ends_at.key: None}

    def is_free_for(self, holder: str) -> ColumnElement[bool]:
        """Return the condition that somebody may take a row: nobody holds it, or it does itself, or it is over."""
        return or_(self.holder.is_(None), self.holder == holder, is_over(self.ends_at))

    def is_held_by(self, prefix: str) -> ColumnElement[bool]:
        """Return the condition that a holder whose name begins with a prefix (a run's id, or all of it) has a row."""
        # Not LIKE, which on SQLite takes "a" for "A".
        return self.holder.is_not(None) & (func.substr(self.holder, 1, len(prefix)) == prefix)

    def is_in_use(self, connection: Connection, prefix: str, now: datetime) -> bool:
        """Say whether a holder whose name begins with a prefix has a row under a lease that has not ended."""
        statement = select(self.holder).where(self.is_held_by(prefix), self.ends_at > now).limit(1)
        return connection.execute(statement).first() is not None

    def renew(self, connection: Connection, holder: str, expires_at: datetime, *of: ColumnElement[bool]) -> int:
        """Put off the end of a holder's leases; returns how many it still has."""
        renewed = update(self._model).where(self.holder == holder, *of).values({self.ends_at.key: expires_at})
        return connection.execute(renewed).rowcount

    def release(self, connection: Connection, prefix: str) -> None:
        """Give back what holders whose names begin with a prefix have."""
        connection.execute(update(self._model).where(self.is_held_by(prefix)).values(self.given_back()))

    def holders(self) -> Select[tuple[str | None]]:
        """Select everybody who holds a row."""
        return select(self.holder).where(self.holder.is_not(None)).distinct()

    def holdings(self, connection: Connection) -> Iterator[Holding]:
        """Yield what is held, ended or not, by name."""
        held = (self.holder.is_not(None), self.ends_at.is_not(None))
        statement = select(self._name, self.holder, self.ends_at, self._consumer).where(*held).order_by(self._name)
        return (
            Holding(self.right, name, holder, ends_at, consumer=consumer)
            for name, holder, ends_at, consumer in connection.execute(statement)
        )


_TABLE = select(CubicTable.name).where(CubicTable.id == CubicConsumer.table_id).scalar_subquery()

LOADS = Lease(Right.LOADS, CubicLoad, CubicLoad.s3_key, "claimed_by", "claim_expires_at")
"""A load's status changes with its lease: ``ledger/claims.py`` takes and gives back."""
DELIVERIES = Lease(Right.DELIVERIES, CubicConsumer, _TABLE, "claimed_by", "due_at", CubicConsumer.consumer)
"""While nobody holds one, its end is the end of a pause after a failure."""
FEEDS = Lease(Right.FEED, CubicDmapFeed, CubicDmapFeed.relative_url, "leased_by", "lease_expires_at")
SHARDS = Lease(Right.SHARD, CubicKafkaShard, CubicKafkaShard.shard, "leased_by", "lease_expires_at")
ALL_BUT_LOADS = (DELIVERIES, FEEDS, SHARDS)
