"""Items of a feed's list: what is a data set, and what is named as none."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from cubic_ingestion.domain.feed import BadItem, Dataset, Feed, Offer
from cubic_ingestion.fetchers.feed_items import read_item
from cubic_ingestion_tests.builders import a_table

FEED = Feed("/datasetpublicusersapi/aggregations/sample", a_table())
ITEM: dict[str, Any] = {
    "id": "agg_sample",
    "dataset_id": "sample_20220517",
    "url": "https://blob.invalid/x/sample.csv.gz?sig=secret",
    "start_date": "2022-05-17",
    "end_date": "2022-05-17",
    "last_updated": "2022-05-18T12:12:24.897363",
}


def read(item: object, *, http_host: str | None = None) -> Offer | BadItem:
    """Read an item of the sample feed."""
    return read_item(item, FEED, http_host=http_host)


def test_an_item_becomes_a_data_set_and_its_time_is_utc() -> None:
    day, updated_at = date(2022, 5, 17), datetime(2022, 5, 18, 12, 12, 24, 897363, tzinfo=UTC)
    offer = read(ITEM)
    assert offer == Offer(Dataset("agg_sample", "sample_20220517", day, day, updated_at), ITEM["url"])
    assert "secret" not in repr(offer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-05-18T12:12:24", datetime(2022, 5, 18, 12, 12, 24, tzinfo=UTC)),
        ("2022-05-18T12:12:24.5", datetime(2022, 5, 18, 12, 12, 24, 500000, tzinfo=UTC)),
        ("2022-05-18T12:12:24Z", datetime(2022, 5, 18, 12, 12, 24, tzinfo=UTC)),
        ("2022-05-18T12:12:24+02:00", datetime(2022, 5, 18, 10, 12, 24, tzinfo=UTC)),
        ("2022-05-18 12:12:24.897363", datetime(2022, 5, 18, 12, 12, 24, 897363, tzinfo=UTC)),
    ],
)
def test_m3_a_time_may_have_a_fraction_or_a_zone_or_neither(text: str, expected: datetime) -> None:
    offer = read(ITEM | {"last_updated": text})
    assert isinstance(offer, Offer)
    assert offer.dataset.last_updated_at == expected


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dataset_id": "../x"}, "'dataset_id'"),
        ({"dataset_id": ""}, "'dataset_id'"),
        ({"dataset_id": "a/b"}, "'dataset_id'"),
        ({"dataset_id": "a\n"}, "'dataset_id'"),
        ({"dataset_id": ".hidden"}, "'dataset_id'"),
        ({"dataset_id": "x" * 201}, "'dataset_id'"),
        ({"dataset_id": 7}, "dataset_id"),
        ({"id": "agg_other"}, "'agg_other'"),
        ({"url": "ftp://blob.invalid/x"}, "'url'"),
        ({"url": "http://blob.invalid/x"}, "'url'"),
        ({"url": "https://blob.invalid"}, "'url'"),
        ({"url": "https://[/x"}, "'url'"),
        ({"start_date": "2022-02-30"}, "start_date"),
        ({"end_date": "2022-05-16"}, "'end_date'"),
        ({"last_updated": "yesterday"}, "last_updated"),
    ],
)
def test_what_is_wrong_with_an_item_is_named(changes: dict[str, object], problem: str) -> None:
    item = read(ITEM | changes)
    assert isinstance(item, BadItem)
    assert problem in item.problem
    assert "sig=" not in item.name + item.problem


@pytest.mark.parametrize("missing", list(ITEM))
def test_an_item_lacks_nothing(missing: str) -> None:
    item = read({name: value for name, value in ITEM.items() if name != missing})
    assert isinstance(item, BadItem)
    assert missing in item.problem
    assert "sig=" not in item.name
    assert (item.last_updated_at is None) == (missing == "last_updated")


@pytest.mark.parametrize("item", [None, 7, "text", [], {}])
def test_what_is_no_item_has_a_name_all_the_same(item: object) -> None:
    bad = read(item)
    assert isinstance(bad, BadItem)
    assert bad.name
    assert bad.last_updated_at is None


def test_a_link_may_be_http_only_to_the_host_that_the_api_is_on_without_encryption() -> None:
    assert isinstance(read(ITEM | {"url": "http://127.0.0.1:8080/x"}, http_host="127.0.0.1"), Offer)
    assert isinstance(read(ITEM | {"url": "http://blob.invalid/x"}, http_host="127.0.0.1"), BadItem)
