"""A vendor, and a client to talk to it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cubic_ingestion.fake_vendor import FakeVendor

FEED = "/datasetpublicusersapi/aggregations/rides"
KEY = {"apikey": "demo-public"}


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    """A vendor without anything."""
    with FakeVendor() as vendor:
        yield vendor


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that does not wait for long, and does not read all certificates of the machine."""
    with httpx.Client(timeout=10, verify=False) as client:  # noqa: S501 - the vendor speaks HTTP
        yield client


def publish(vendor: FakeVendor, name: str, last_updated: str = "2022-05-18T12:12:24.897363", n: int = 1) -> None:
    """Publish a data set of one record."""
    day = "2022-05-17"
    vendor.publish(FEED, "rides", name, [{"n": n}], start_date=day, end_date=day, last_updated=last_updated)


def listed(vendor: FakeVendor, client: httpx.Client, **asked: object) -> list[dict[str, Any]]:
    """Ask for the list, which must be good."""
    answer = client.get(vendor.url + FEED, params={k: str(v) for k, v in asked.items()}, headers=KEY)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["success"] is True
    return told["results"]


def names(vendor: FakeVendor, client: httpx.Client, **asked: object) -> list[str]:
    """Ask for the list, and return the names in it."""
    return [item["dataset_id"] for item in listed(vendor, client, **asked)]
