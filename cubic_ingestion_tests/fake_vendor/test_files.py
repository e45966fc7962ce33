"""Files: signed links, versions, and how many are fetched at once."""

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import pytest

from cubic_ingestion.fake_vendor import FakeVendor, csv_gz
from cubic_ingestion.fake_vendor.misbehaviours import meanwhile
from cubic_ingestion_tests.fake_vendor.conftest import FEED, listed, publish


def link(vendor: FakeVendor, client: httpx.Client) -> str:
    """Return a fresh link to the one data set."""
    (item,) = listed(vendor, client)
    return item["url"]


def test_a_file_is_compressed_csv_of_a_length_that_is_told(vendor: FakeVendor, client: httpx.Client) -> None:
    rows = [{"id": 1, "name": 'a "quoted", one'}, {"id": 2, "name": None}]
    vendor.publish(FEED, "rides", "a", rows, start_date="", end_date="", last_updated="")

    answer = client.get(link(vendor, client))

    assert gzip.decompress(answer.content) == b'id,name\n1,"a ""quoted"", one"\n2,\n'
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert "Content-Encoding" not in answer.headers
    assert gzip.decompress(csv_gz([], ["id", "name"])) == b"id,name\n"


def test_a_link_of_an_older_version_keeps_giving_that_version(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a", n=1)
    older = link(vendor, client)
    vendor.restate(FEED, "a", [{"n": 2}], last_updated="2022-05-20T00:00:00")

    bodies = [gzip.decompress(client.get(url).content) for url in (older, link(vendor, client))]

    assert bodies == [b"n\n1\n", b"n\n2\n"]


def test_links_expire_when_told_and_a_new_listing_has_fresh_ones(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a")
    older = link(vendor, client)
    assert client.get(older).status_code == 200

    vendor.expire_links()

    refused = client.get(older)
    assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/xml")
    assert refused.text.startswith("<?xml")
    assert client.get(link(vendor, client)).status_code == 200


def test_links_expire_after_so_many_uses(client: httpx.Client) -> None:
    with FakeVendor(link_uses=2) as vendor:
        publish(vendor, "a")
        url = link(vendor, client)

        assert [client.get(url).status_code for _ in range(3)] == [200, 200, 403]


def test_a_link_holds_only_as_it_was_given_out(vendor: FakeVendor, client: httpx.Client) -> None:
    publish(vendor, "a")
    url = link(vendor, client)
    path, _, _ = url.partition("?")

    assert unquote(url) != url
    statuses = [client.get(changed).status_code for changed in (path, url.replace("/a.csv", "/b.csv"), url + "&x=1")]
    assert statuses == [403, 403, 403]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Eight threads."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_the_most_downloads_at_once_are_counted_exactly(
    vendor: FakeVendor, client: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    publish(vendor, "a")
    url = link(vendor, client)
    vendor.files.arm(meanwhile(threading.Barrier(5, timeout=10).wait), times=5)
    at_least_five = [pool.submit(client.get, url) for _ in range(5)]
    assert {one.result().status_code for one in at_least_five} == {200}
    assert vendor.most_downloads_at_once == 5

    vendor.forget_requests()
    for _ in range(200):  # one after the other on changing connections: never two, however late a thread ends
        pool.submit(client.get, url, headers={"Connection": "close"}).result()
    assert vendor.most_downloads_at_once == 1
    assert len(vendor.downloads) == 200
