"""A fetcher between a vendor on localhost and a depot, everything real."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from cubic_ingestion.domain.feed import ApiKey, Feed, FeedProgress
from cubic_ingestion.fake_vendor import FakeVendor
from cubic_ingestion.fetchers.http_feed_client import HttpFeedClient
from cubic_ingestion.pipeline.dmap import Fetcher, FetchLimits
from cubic_ingestion.pipeline.dmap.retrying import Patience
from cubic_ingestion.settings import DMAP_KEY_SETTINGS
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.depot import Depot

FEED = Feed("/datasetpublicusersapi/aggregations/sample", a_table())
KEYS = {ApiKey.PUBLIC: "demo-public", ApiKey.CONTROLLED: "demo-controlled"}
MOMENT = "2023-05-18T12:12:24.897363"


def publish(
    vendor: FakeVendor, identifier: str, count: int = 5, *, last_updated: str = MOMENT, body: bytes | None = None
) -> None:
    """Publish, or restate, a data set of one row, or of other bytes."""
    rows = [{"sample_id": 1, "sample_name": identifier, "sample_count": count}]
    vendor.publish(
        FEED.relative_url,
        FEED.type,
        identifier,
        rows if body is None else body,
        start_date="2023-05-17",
        end_date="2023-05-17",
        last_updated=last_updated,
    )


def a_client(vendor: FakeVendor, **changes: Any) -> HttpFeedClient:
    """Build a client of the vendor's."""
    client = HttpFeedClient(vendor.url, KEYS, DMAP_KEY_SETTINGS, **changes)
    _clients.append(client)
    return client


def close_clients() -> None:
    """Close all that were built."""
    while _clients:
        _clients.pop().close()


_clients: list[HttpFeedClient] = []


def a_fetcher(vendor: FakeVendor, depot: Depot, *, owner: str = "one", **changes: Any) -> Fetcher:
    """Build a fetcher whose pauses are short."""
    fields: dict[str, Any] = {
        "parallel_downloads": 4,
        "lease_seconds": 900,
        "patience": Patience(attempts=3, first_pause_seconds=0.001),
    }
    return Fetcher(
        client=a_client(vendor),
        ledger=depot.platform.ledger,
        incoming=depot.platform.stores.incoming,
        clock=depot.clock,
        limits=FetchLimits(**(fields | changes)),
        owner=owner,
    )


def progress(depot: Depot) -> FeedProgress:
    """Return how far the sample feed is fetched."""
    (feed,) = depot.platform.ledger.feeds.progress()
    return feed


def names(depot: Depot) -> list[str]:
    """Return the files of the sample feed in Incoming."""
    return [key.removeprefix(FEED.table.prefix) for key in depot.files("incoming")]


def days(vendor: FakeVendor) -> Iterator[date]:
    """Yield the lower bounds that lists were asked for with."""
    return (date.fromisoformat(request.parameters["last_updated"]) for request in vendor.listings)
