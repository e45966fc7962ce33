"""What every ledger of feeds does, on each database in turn."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.feed import Dataset, FeedOutcome, FetchedDataset
from cubic_ingestion.domain.holding import Holding, Right
from cubic_ingestion.ledger.feeds import Feeds
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import NOON

FEED, OTHER = "/datasetpublicusersapi/aggregations/one", "/datasetpublicusersapi/aggregations/two"
LATER = NOON + timedelta(minutes=15)
SECOND = timedelta(seconds=1)
FETCHED = FetchedDataset(
    Dataset("one", "one_20220304", date(2022, 3, 4), date(2022, 3, 4), NOON), "cubic/dmap/one/one_20220304.csv.gz", "e1"
)


@pytest.fixture
def feeds(engine: Engine) -> Feeds:
    """A ledger that knows nothing."""
    return Ledger(engine, retry_seconds=1).feeds


def lease(feeds: Feeds, owner: str = "one", *, feed: str = FEED, is_late: bool = False) -> bool:
    """Take a feed at noon, or when a lease of noon has ended; says whether that worked."""
    now = LATER if is_late else NOON
    return feeds.lease(feed, owner, now=now, expires_at=now + timedelta(minutes=15)) is not None


def test_a_feed_is_held_by_one_until_its_lease_expires_or_is_given_back(feeds: Feeds) -> None:
    assert lease(feeds)
    assert lease(feeds)
    assert not lease(feeds, "two")
    assert lease(feeds, "two", feed=OTHER)
    assert lease(feeds, "two", is_late=True)
    assert not feeds.renew(FEED, "one", LATER)
    feeds.release(FEED, "one", None)
    assert feeds.lease(FEED, "three", now=LATER - SECOND, expires_at=LATER + timedelta(minutes=14)) is None
    feeds.release(FEED, "two", None)
    assert lease(feeds, "three")


def test_a_renewed_lease_ends_later(feeds: Feeds) -> None:
    lease(feeds)
    assert feeds.renew(FEED, "one", LATER + SECOND)
    assert not lease(feeds, "two", is_late=True)


def test_a_lease_that_a_clock_took_that_is_ahead_is_taken_over(feeds: Feeds) -> None:
    assert feeds.lease(FEED, "one", now=NOON, expires_at=LATER + timedelta(minutes=1))
    assert not lease(feeds, "two")
    assert feeds.renew(FEED, "one", LATER + timedelta(days=1))
    assert lease(feeds, "two")
    assert not feeds.renew(FEED, "one", LATER)


def test_a_leased_feed_is_listed_and_given_back_with_all_that_its_owner_has(feeds: Feeds, ledger: Ledger) -> None:
    lease(feeds)
    lease(feeds, "two", feed=OTHER)
    assert ledger.claims.holdings() == [
        Holding(Right.FEED, FEED, "one", LATER),
        Holding(Right.FEED, OTHER, "two", LATER),
    ]
    assert ledger.claims.release_holder("one", retry_at=NOON) == 0
    assert ledger.claims.holders() == ["two"]
    assert lease(feeds, "three")


def test_the_newest_version_of_a_data_set_is_on_record(feeds: Feeds) -> None:
    lease(feeds)
    older = replace(FETCHED, dataset=replace(FETCHED.dataset, last_updated_at=NOON - SECOND), etag="e0")
    newer = replace(
        FETCHED, dataset=replace(FETCHED.dataset, end_on=date(2022, 3, 5), last_updated_at=NOON + SECOND), etag="e2"
    )
    feeds.record(FEED, FETCHED)
    feeds.record(FEED, older)
    assert feeds.datasets(FEED) == {"one_20220304": FETCHED}
    feeds.record(FEED, newer)
    assert feeds.datasets(FEED) == {"one_20220304": newer}


def test_two_feeds_may_have_data_sets_of_one_name(feeds: Feeds) -> None:
    lease(feeds)
    lease(feeds, feed=OTHER)
    feeds.record(FEED, FETCHED)
    feeds.record(OTHER, replace(FETCHED, etag="of the other"))
    assert feeds.datasets(FEED) == {"one_20220304": FETCHED}


def test_a_feed_is_shown_once_it_was_fetched_and_its_time_never_goes_back(feeds: Feeds) -> None:
    lease(feeds)
    assert feeds.progress() == []
    feeds.record(FEED, FETCHED)
    feeds.release(FEED, "one", FeedOutcome(NOON, NOON, 2, "what is missing"))
    (shown,) = feeds.progress()
    assert (shown.last_updated_at, shown.n_datasets, shown.owner, shown.problem) == (NOON, 1, None, "what is missing")
    for moment, expected in ((NOON - SECOND, NOON), (None, NOON), (NOON + SECOND, NOON + SECOND)):
        lease(feeds)
        feeds.release(FEED, "one", FeedOutcome(LATER, moment))
        (shown,) = feeds.progress()
        assert (shown.last_updated_at, shown.fetched_at, shown.problem) == (expected, LATER, None)


def test_who_has_lost_a_feed_says_nothing_about_it(feeds: Feeds) -> None:
    lease(feeds)
    lease(feeds, "two", is_late=True)
    feeds.release(FEED, "one", FeedOutcome(NOON, NOON, 1, "from before"))
    assert feeds.progress() == []
