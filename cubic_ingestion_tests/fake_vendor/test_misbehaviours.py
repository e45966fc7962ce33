"""Each misbehaviour goes wrong just as it is meant to, as often as it is meant to."""

import gzip
import re
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from cubic_ingestion.fake_vendor import FakeVendor
from cubic_ingestion.fake_vendor.misbehaviours import (
    INVALID_ITEMS,
    Misbehaviour,
    content_encoded,
    corrupt_gzip,
    cut_gzip,
    dropped,
    empty_list,
    failure,
    html,
    link_expired,
    meanwhile,
    plain_csv,
    redirected,
    spoiled,
    stalled,
    time_out,
    too_many_requests,
    truncated,
    unsuccessful,
    without_length,
    without_results,
    xml,
)
from cubic_ingestion_tests.fake_vendor.conftest import FEED, KEY, listed, names, publish


def ask(vendor: FakeVendor, client: httpx.Client) -> httpx.Response:
    """Ask for the list, which may be bad."""
    return client.get(vendor.url + FEED, headers=KEY)


def fetch(vendor: FakeVendor, client: httpx.Client, misbehaviour: Misbehaviour) -> httpx.Response:
    """Fetch the file of a data set of one record, and misbehave."""
    publish(vendor, "a", n=1)
    (item,) = listed(vendor, client)
    vendor.files.arm(misbehaviour)
    return client.get(item["url"])


@pytest.mark.parametrize(
    ("misbehaviour", "status", "retry_after"),
    [
        (too_many_requests(3), 429, "3"),
        (too_many_requests(None), 429, None),
        (failure(503, retry_after_seconds=2), 503, "2"),
        (failure(500), 500, None),
    ],
)
def test_a_refusal_may_say_when_to_come_again(
    vendor: FakeVendor, client: httpx.Client, misbehaviour: Misbehaviour, status: int, retry_after: str | None
) -> None:
    vendor.lists.arm(misbehaviour)

    refused = ask(vendor, client)

    assert (refused.status_code, refused.headers.get("Retry-After")) == (status, retry_after)
    assert ask(vendor, client).status_code == 200


def test_a_refusal_may_say_it_as_a_date(vendor: FakeVendor, client: httpx.Client) -> None:
    vendor.files.arm(too_many_requests(60, as_date=True))

    told = client.get(f"{vendor.url}/files/x").headers["Retry-After"]

    assert told.endswith(" GMT")
    assert timedelta(seconds=50) < parsedate_to_datetime(told) - datetime.now(UTC) <= timedelta(seconds=60)


def test_the_first_armed_is_the_first_to_happen_and_only_where_it_matches(
    vendor: FakeVendor, client: httpx.Client
) -> None:
    vendor.lists.arm(failure(501), matching="offset=100")
    vendor.lists.arm(failure(502), times=2, after=1)
    vendor.lists.arm(failure(503), times=None)
    asked = [client.get(f"{vendor.url}{FEED}?offset={n}", headers=KEY).status_code for n in (0, 0, 100, 0, 0, 0)]
    vendor.lists.disarm()

    assert [*asked, ask(vendor, client).status_code] == [200, 502, 501, 502, 503, 503, 200]


def test_a_request_hangs_until_released(vendor: FakeVendor, client: httpx.Client) -> None:
    vendor.lists.arm(time_out(), times=2)
    with ThreadPoolExecutor(1) as pool:
        for n_requests in (1, 2):
            asked = pool.submit(ask, vendor, client)
            wait_until(lambda n=n_requests: len(vendor.requests) == n)
            assert not asked.done()
            vendor.release()
            with pytest.raises(httpx.RemoteProtocolError):
                asked.result()

    assert [request.status for request in vendor.requests] == [None, None]
    assert ask(vendor, client).status_code == 200


def test_a_request_that_hangs_ends_when_the_client_has_gone(vendor: FakeVendor) -> None:
    before = set(threading.enumerate())
    vendor.lists.arm(time_out())
    with httpx.Client(timeout=0.1) as client, pytest.raises(httpx.ReadTimeout):
        ask(vendor, client)

    assert len(vendor.requests) == 1
    wait_until(lambda: set(threading.enumerate()) <= before)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_vendor_ends_at_once_with_requests_that_hang_and_connections_that_idle() -> None:
    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(1) as pool:
        with FakeVendor() as vendor:
            ask(vendor, client)
            vendor.lists.arm(time_out())
            asked = pool.submit(ask, vendor, client)
            wait_until(lambda: len(vendor.requests) == 2)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        with pytest.raises(httpx.RemoteProtocolError):
            asked.result()
        with pytest.raises(httpx.ConnectError):
            ask(vendor, client)
    assert [thread.name for thread in threading.enumerate() if "vendor" in thread.name] == []


def test_a_connection_is_dropped(vendor: FakeVendor, client: httpx.Client) -> None:
    vendor.lists.arm(dropped())
    with pytest.raises(httpx.RemoteProtocolError):
        ask(vendor, client)


def test_a_redirect_leads_to_another_host_which_sees_who_follows(vendor: FakeVendor, client: httpx.Client) -> None:
    with FakeVendor() as other:
        vendor.lists.arm(redirected(f"{other.url}{FEED}"), times=2)

        assert ask(vendor, client).status_code == 302
        assert other.requests == ()
        client.get(vendor.url + FEED, headers=KEY, follow_redirects=True)
        assert len(other.requests) == 1


def test_a_page_or_xml_comes_with_200_in_the_place_of_anything(vendor: FakeVendor, client: httpx.Client) -> None:
    vendor.lists.arm(html())
    page = ask(vendor, client)
    error = fetch(vendor, client, xml())

    assert (page.status_code, page.text[:9], page.headers["Content-Type"][:9]) == (200, "<!DOCTYPE", "text/html")
    assert (error.status_code, error.text[:5], error.headers["Content-Type"]) == (200, "<?xml", "application/xml")


def test_a_list_may_be_without_success_or_results_or_anything(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a")
    told: list[dict[str, object]] = []
    for misbehaviour in (unsuccessful(), without_results(), empty_list()):
        vendor.lists.arm(misbehaviour)
        told.append(ask(vendor, client).json())

    assert (told[0]["success"], told[0].keys()) == (False, {"success", "results"})
    assert told[1:] == [{"success": True}, {"success": True, "results": []}]


def is_valid(item: Any, vendor: FakeVendor) -> bool:
    """Whether an item has texts under all six keys, days and a moment, a plain name, and a link to the vendor."""
    try:
        days = [date.fromisoformat(item[key]) for key in ("start_date", "end_date")]
        moment = datetime.fromisoformat(item["last_updated"])
        is_named = bool(re.fullmatch(r"\w+", item["dataset_id"])) and item["id"] == "rides"
        return bool(days and moment and is_named and item["url"].startswith(f"{vendor.url}/files/"))
    except (TypeError, KeyError, ValueError):
        return False


@pytest.mark.parametrize("wrong", INVALID_ITEMS)
def test_one_item_is_invalid_and_the_others_are_not(vendor: FakeVendor, client: httpx.Client, wrong: str) -> None:
    for name in "abc":
        publish(vendor, name)
    vendor.lists.arm(INVALID_ITEMS[wrong])

    spoilt, good = listed(vendor, client), listed(vendor, client)

    assert [is_valid(item, vendor) for item in spoilt] == [False, True, True]
    assert [is_valid(item, vendor) for item in good] == [True, True, True]
    assert [item["dataset_id"] for item in spoilt[1:]] == ["b", "c"]


def test_an_item_may_be_invalid_by_its_name_until_disarmed(vendor: FakeVendor, client: httpx.Client) -> None:
    for name in "abc":
        publish(vendor, name)
    vendor.lists.arm(spoiled("b", to={"start_date": "x"}, without=["url"]), times=None)

    for _ in range(2):
        items = listed(vendor, client)
        assert [item["start_date"] for item in items] == ["2022-05-17", "x", "2022-05-17"]
        assert ["url" in item for item in items] == [True, False, True]


def test_results_shift_between_two_pages(vendor: FakeVendor, client: httpx.Client) -> None:
    for number in range(4):
        publish(vendor, str(number), f"2022-05-18T00:00:0{number}")
    vendor.lists.arm(meanwhile(lambda: publish(vendor, "0", "2022-05-19T00:00:00")))

    assert names(vendor, client, limit=2) == ["0", "1"]
    assert names(vendor, client, limit=2, offset=2) == ["3", "0"]  # nobody was shown 2


def test_a_body_is_shorter_than_its_length_says(vendor: FakeVendor, client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        fetch(vendor, client, truncated(10))


def test_a_body_stalls(vendor: FakeVendor) -> None:
    with httpx.Client(timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
        fetch(vendor, client, stalled(10))


def test_a_body_without_a_length_may_end_too_early_unseen(vendor: FakeVendor, client: httpx.Client) -> None:
    whole, cut = (fetch(vendor, client, without_length(n)) for n in (None, 10))

    assert "Content-Length" not in whole.headers
    assert gzip.decompress(whole.content) == b"n\n1\n"
    assert cut.content == whole.content[:10]


def test_a_file_may_be_plain_corrupt_or_cut(vendor: FakeVendor, client: httpx.Client) -> None:
    plain, corrupt, cut = (fetch(vendor, client, one) for one in (plain_csv(), corrupt_gzip(), cut_gzip()))

    assert (plain.content, plain.headers["Content-Length"]) == (b"n\n1\n", "4")
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(corrupt.content)
    assert zlib.decompressobj(31).decompress(cut.content) == b"n\n1\n"
    with pytest.raises(EOFError):
        gzip.decompress(cut.content)


def test_gzip_may_be_called_an_encoding_and_clients_take_it_off(vendor: FakeVendor, client: httpx.Client) -> None:
    assert fetch(vendor, client, content_encoded()).content == b"n\n1\n"


def test_an_expired_link_stays_expired_and_is_not_made_good_by_a_misbehaviour(
    vendor: FakeVendor, client: httpx.Client
) -> None:
    for misbehaviour in (plain_csv(), corrupt_gzip(), link_expired()):
        vendor.files.arm(misbehaviour)
        assert client.get(f"{vendor.url}/files/x").status_code == 403


def test_a_spoilt_list_does_not_let_in_who_has_no_key(vendor: FakeVendor, client: httpx.Client) -> None:
    vendor.lists.arm(empty_list())
    assert client.get(vendor.url + FEED).status_code == 401
