"""The metadata database, as the DMAP fetcher sees it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from cubic_ingestion.domain.feed import FeedOutcome, FeedProgress, FetchedDataset


class FeedRepository(Protocol):
    """Feeds, and the data sets that were fetched.

    Every method raises ``DatabaseUnavailableError`` for what may pass.
    """

    def lease(self, relative_url: str, owner: str, *, now: datetime, expires_at: datetime) -> FeedProgress | None:
        """Take a feed that nobody holds, or whose lease has expired; None if another holds it.

        A lease that ends more than a minute after ``expires_at`` was taken by a clock that is ahead. It counts as
        expired.
        """
        ...

    def renew(self, relative_url: str, owner: str, expires_at: datetime) -> bool:
        """Put off the end of a lease; False if another has the feed by now."""
        ...

    def release(self, relative_url: str, owner: str, outcome: FeedOutcome | None) -> None:
        """Give a feed back, if the owner has it, with what came of it; its ``last_updated_at`` never goes back."""
        ...

    def datasets(self, relative_url: str) -> Mapping[str, FetchedDataset]:
        """Return the newest version of each data set that was fetched, by identifier."""
        ...

    def record(self, relative_url: str, fetched: FetchedDataset) -> None:
        """Put a version on record, unless a newer one of the same data set is."""
        ...

    def progress(self) -> Sequence[FeedProgress]:
        """Return all feeds that were ever fetched, in the order of their addresses."""
        ...
