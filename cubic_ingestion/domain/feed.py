"""DMAP feeds: what the vendor's REST API offers, and what of it is in Incoming."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from cubic_ingestion.domain.table import Table


class ApiKey(StrEnum):
    """The two keys of the vendor's API; the path of a feed says which it takes."""

    PUBLIC = "public"
    CONTROLLED = "controlled"

    @property
    def path(self) -> str:
        """How the paths of its feeds begin."""
        return _PATHS[self]


_PATHS = {ApiKey.PUBLIC: "/datasetpublicusersapi/", ApiKey.CONTROLLED: "/datasetcontrolleduserapi/"}

FIRST_DAY = date(2020, 1, 1)
"""From when on a feed is listed that was never fetched; the oldest data set that the vendor offers is of 2022."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed, and the table that its data sets belong to."""

    relative_url: str
    table: Table

    @property
    def type(self) -> str:
        """The vendor's word for what the feed offers; also the folder in Incoming."""
        return self.table.prefix.split("/")[-2]

    @property
    def api_key(self) -> ApiKey:
        """Which key it takes."""
        return next(key for key in ApiKey if self.relative_url.startswith(key.path))


def feeds_of(tables: Iterable[Table]) -> list[Feed]:
    """Return the feeds that tables are filled from; an inactive table is filled from none."""
    return [Feed(table.feed, table) for table in tables if table.feed and table.is_active]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A version of a data set: one file."""

    type: str
    identifier: str
    """The vendor's ``dataset_id``; the same again when the data set is restated."""
    start_on: date
    end_on: date
    last_updated_at: datetime
    """The vendor's ``last_updated``, UTC; newer with each restatement."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A data set that a feed's list has, and where it can be had for about an hour."""

    dataset: Dataset
    url: str = field(repr=False, compare=False)
    """Signed: whoever has it can read the file."""


@dataclass(frozen=True, slots=True)
class BadItem:
    """An item of a feed's list that is no data set."""

    name: str
    """Its ``dataset_id``, or whatever it is known by."""
    problem: str
    last_updated_at: datetime | None
    """None if it does not say so, either."""


@dataclass(frozen=True, slots=True)
class FetchedDataset:
    """A version of a data set that is, or was, in Incoming."""

    dataset: Dataset
    key: str | None = None
    etag: str | None = None
    """Of the object as it was written to Incoming; None of what an earlier platform has fetched."""


@dataclass(frozen=True, slots=True)
class FeedOutcome:
    """What a fetch of a feed came to."""

    fetched_at: datetime
    last_updated_at: datetime | None
    """Every data set up to then is fetched; None: as before."""
    n_problems: int = 0
    problem: str | None = None
    """The first thing that is missing, and why."""


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """A feed, as people look at it."""

    relative_url: str
    last_updated_at: datetime | None
    """Every data set up to then is fetched."""
    fetched_at: datetime | None
    """When it was last fetched, with or without success."""
    n_datasets: int
    owner: str | None
    """Who fetches it now."""
    n_problems: int
    problem: str | None
