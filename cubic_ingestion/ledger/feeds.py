"""Feeds of the DMAP API: leases, and the data sets that were fetched."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update

from cubic_ingestion.domain.feed import Dataset, FeedOutcome, FeedProgress, FetchedDataset
from cubic_ingestion.ledger import leases
from cubic_ingestion.ledger.models import CubicDmapDataset, CubicDmapFeed
from cubic_ingestion.ledger.transactions import Part, reads, writes
from cubic_ingestion.ledger.upserts import upsert


class Feeds(Part):
    """What the DMAP fetcher keeps.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @writes
    def lease(
        self, connection: Connection, relative_url: str, owner: str, *, now: datetime, expires_at: datetime
    ) -> FeedProgress | None:
        """Take a feed that nobody holds, or whose lease has expired; None if another holds it.

        A lease that ends more than a minute after ``expires_at`` was taken by a clock that is ahead. It counts as
        expired.
        """
        connection.execute(upsert(connection, CubicDmapFeed).values(relative_url=relative_url).on_conflict_do_nothing())
        statement = (
            update(CubicDmapFeed)
            .where(CubicDmapFeed.relative_url == relative_url, leases.FEEDS.is_free_for(owner))
            .values(leases.FEEDS.taken(owner, expires_at))
        )
        taken = connection.execute(statement, leases.moments(now, expires_at))
        if not taken.rowcount:
            return None
        return _feed(connection.execute(_feeds().where(CubicDmapFeed.relative_url == relative_url)).one())

    @writes
    def renew(self, connection: Connection, relative_url: str, owner: str, expires_at: datetime) -> bool:
        """Put off the end of a lease; False if another has the feed by now."""
        return leases.FEEDS.renew(connection, owner, expires_at, CubicDmapFeed.relative_url == relative_url) == 1

    @writes
    def release(self, connection: Connection, relative_url: str, owner: str, outcome: FeedOutcome | None) -> None:
        """Give a feed back, if the owner has it, with what came of it; its ``last_updated_at`` never goes back."""
        held = (CubicDmapFeed.relative_url == relative_url, CubicDmapFeed.leased_by == owner)
        connection.execute(update(CubicDmapFeed).where(*held).values(leases.FEEDS.given_back() | _came_to(outcome)))
        if outcome and outcome.last_updated_at:
            is_older = func.coalesce(CubicDmapFeed.last_updated_at < outcome.last_updated_at, True)
            connection.execute(
                update(CubicDmapFeed)
                .where(CubicDmapFeed.relative_url == relative_url, is_older)
                .values(last_updated_at=outcome.last_updated_at)
            )

    @reads
    def datasets(self, connection: Connection, relative_url: str) -> Mapping[str, FetchedDataset]:
        """Return the newest version of each data set that was fetched, by identifier."""
        rows = connection.execute(
            select(CubicDmapDataset.__table__)
            .join(CubicDmapFeed.__table__, CubicDmapFeed.id == CubicDmapDataset.feed_id)
            .where(CubicDmapFeed.relative_url == relative_url)
        )
        return {row.identifier: _fetched(row) for row in rows}

    @writes
    def record(self, connection: Connection, relative_url: str, fetched: FetchedDataset) -> None:
        """Put a version on record, unless a newer one of the same data set is."""
        dataset = fetched.dataset
        feed_id = connection.execute(
            select(CubicDmapFeed.id).where(CubicDmapFeed.relative_url == relative_url)
        ).scalar_one()
        fields = {
            "type": dataset.type,
            "start_date": dataset.start_on,
            "end_date": dataset.end_on,
            "last_updated_at": dataset.last_updated_at,
            "s3_key": fetched.key,
            "s3_etag": fetched.etag,
        }
        statement = upsert(connection, CubicDmapDataset).values(
            feed_id=feed_id, identifier=dataset.identifier, **fields
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["feed_id", "identifier"],
                set_=fields,
                where=CubicDmapDataset.last_updated_at <= dataset.last_updated_at,
            )
        )

    @reads
    def progress(self, connection: Connection) -> Sequence[FeedProgress]:
        """Return all feeds that were ever fetched, in the order of their addresses."""
        rows = connection.execute(
            _feeds().where(CubicDmapFeed.fetched_at.is_not(None)).order_by(CubicDmapFeed.relative_url)
        )
        return [_feed(row) for row in rows]


def _came_to(outcome: FeedOutcome | None) -> dict[str, object]:
    if outcome is None:
        return {}
    return {"fetched_at": outcome.fetched_at, "n_problems": outcome.n_problems, "problem": outcome.problem}


def _feeds() -> Select[Any]:
    n_datasets = (
        select(func.count())
        .where(CubicDmapDataset.feed_id == CubicDmapFeed.id)
        .correlate(CubicDmapFeed)
        .scalar_subquery()
        .label("n_datasets")
    )
    return select(CubicDmapFeed.__table__, n_datasets)


def _feed(row: Row[Any]) -> FeedProgress:
    return FeedProgress(
        row.relative_url,
        row.last_updated_at,
        row.fetched_at,
        row.n_datasets,
        row.leased_by,
        row.n_problems,
        row.problem,
    )


def _fetched(row: Row[Any]) -> FetchedDataset:
    dataset = Dataset(row.type, row.identifier, row.start_date, row.end_date, row.last_updated_at)
    return FetchedDataset(dataset, row.s3_key, row.s3_etag)
