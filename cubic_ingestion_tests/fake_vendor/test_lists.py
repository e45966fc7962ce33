"""The list: keys, pages, bounds and order, as far as they are known of the vendor's API."""

import httpx
import pytest

from cubic_ingestion.fake_vendor import SAMPLE_FEED, FakeVendor, ListRules, restate_sample, sample_feed
from cubic_ingestion_tests.fake_vendor.conftest import FEED, KEY, listed, names, publish

CONTROLLED = "/datasetcontrolleduserapi/transactional/citation"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (FEED, {"apikey": "demo-public"}, 200),
        (FEED, {"apikey": "demo-controlled"}, 401),
        (FEED, {}, 401),
        (f"{FEED}?apikey=demo-public", {}, 401),
        (CONTROLLED, {"apikey": "demo-controlled"}, 200),
        (CONTROLLED, {"apikey": "demo-public"}, 401),
        ("/controlledresearchusersapi/aggregations/rides", {"apikey": "demo-public"}, 404),
    ],
)
def test_each_family_opens_to_its_own_key_in_the_header(
    vendor: FakeVendor, client: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert client.get(vendor.url + path, headers=headers).status_code == status


def test_an_item_has_what_the_real_one_has(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "rides_20220517")

    (item,) = listed(vendor, client)

    assert item.pop("url").startswith(f"{vendor.url}/files/rides/rides_20220517.csv.gz?")
    assert item == {
        "id": "rides",
        "dataset_id": "rides_20220517",
        "start_date": "2022-05-17",
        "end_date": "2022-05-17",
        "last_updated": "2022-05-18T12:12:24.897363",
    }


def test_pages_have_a_hundred_at_most_and_no_end_is_told(vendor: FakeVendor, client: httpx.Client) -> None:
    for number in range(250):
        publish(vendor, f"{number:03}")

    pages = [names(vendor, client, limit=1000, offset=offset) for offset in (0, 100, 200, 300)]

    assert [len(page) for page in pages] == [100, 100, 50, 0]
    assert [name for page in pages for name in page] == [f"{number:03}" for number in range(250)]
    assert len(names(vendor, client)) == 100
    assert names(vendor, client, limit=2, offset=3) == ["003", "004"]


def test_offset_may_have_no_effect(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a")
    vendor.rules = ListRules(offset_works=False)

    assert names(vendor, client, offset=1) == ["a"]


@pytest.mark.parametrize(
    ("rules", "bound", "expected"),
    [
        (ListRules(), "2022-05-18T12:00:00", ["noon", "late", "next"]),
        (ListRules(is_inclusive=False), "2022-05-18T12:00:00", ["late", "next"]),
        (ListRules(is_inclusive=False), "2022-05-18T11:59:59.999999", ["noon", "late", "next"]),
        (ListRules(), "2022-05-18", ["noon", "late", "next"]),
        (ListRules(compares_days=True), "2022-05-18T23:00:00", ["noon", "late", "next"]),
        (ListRules(compares_days=True, is_inclusive=False), "2022-05-18T00:00:00", ["next"]),
        (ListRules(), "2022-05-18T14:00:00+02:00", ["noon", "late", "next"]),
        (ListRules(is_ascending=False), "2022-05-18", ["next", "late", "noon"]),
    ],
)
def test_the_lower_bound_is_what_the_rules_say(
    vendor: FakeVendor, client: httpx.Client, rules: ListRules, bound: str, expected: list[str]
) -> None:
    vendor.rules = rules
    for name, updated in (
        ("next", "2022-05-19T00:00:00"),
        ("late", "2022-05-18T12:00:00.5"),
        ("noon", "2022-05-18T12:00:00"),
    ):
        publish(vendor, name, updated)

    assert names(vendor, client, last_updated=bound) == expected


def test_a_period_selects_what_touches_it(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "17th")

    assert names(vendor, client, start_date="2022-05-17", end_date="2022-05-17") == ["17th"]
    assert names(vendor, client, start_date="2022-05-18") == []
    assert names(vendor, client, end_date="2022-05-16") == []


def test_a_parameter_without_sense_is_refused(vendor: FakeVendor, client: httpx.Client) -> None:
    for query in ("limit=0", "limit=x", "offset=-1", "last_updated=yesterday"):
        assert client.get(f"{vendor.url}{FEED}?{query}", headers=KEY).status_code == 400


def test_what_is_published_is_not_judged(vendor: FakeVendor, client: httpx.Client) -> None:
    vendor.publish(FEED, "rides", "../x", b"", start_date="soon", end_date="", last_updated="never")

    (item,) = listed(vendor, client, last_updated="2022-05-18")

    assert (item["dataset_id"], item["last_updated"]) == ("../x", "never")
    assert client.get(item["url"]).content == b""


def test_a_restatement_takes_the_place_of_its_data_set(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a", "2022-05-18T00:00:00")
    publish(vendor, "b", "2022-05-19T00:00:00")

    vendor.restate(FEED, "a", [{"n": 2}], last_updated="2022-05-20T00:00:00")

    assert names(vendor, client) == ["b", "a"]
    with pytest.raises(LookupError, match="publish it first"):
        vendor.restate(FEED, "c", b"", last_updated="2022-05-20T00:00:00")


def test_of_equal_times_what_came_first_is_first(vendor: FakeVendor, client: httpx.Client) -> None:
    for name in "aba":
        publish(vendor, name)

    assert names(vendor, client) == ["b", "a"]


def test_the_sample_has_one_restated_day_and_can_have_more(vendor: FakeVendor, client: httpx.Client) -> None:
    sample_feed(vendor)
    first = client.get(vendor.url + SAMPLE_FEED, headers=KEY).json()["results"]

    restated = restate_sample(vendor, 6, 2, "2023-07-01T00:00:00")

    assert [item["dataset_id"][-2:] for item in first] == ["17", "19", "20", "18"]
    assert {item["id"] for item in first} == {"agg_daily_fareprod"}
    assert first[0]["last_updated"] == "2023-05-18T12:12:24"
    again = client.get(vendor.url + SAMPLE_FEED, params={"last_updated": "2023-06-01"}, headers=KEY).json()["results"]
    assert [item["dataset_id"] for item in again] == [restated] == ["fareprod_20230519"]


def test_what_was_asked_is_on_record_but_not_what_headers_said(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a")
    (item,) = listed(vendor, client, limit=7)
    client.get(item["url"])

    (listing,), (download,) = vendor.listings, vendor.downloads
    assert (listing.method, listing.path, listing.parameters, listing.status) == ("GET", FEED, {"limit": "7"}, 200)
    assert "apikey" in listing.header_names
    assert "apikey" not in download.header_names
    assert "demo-public" not in repr(vendor.requests)
    assert vendor.requests == (listing, download)

    vendor.forget_requests()
    assert vendor.requests == ()
