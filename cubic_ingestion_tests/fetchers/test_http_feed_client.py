"""The feed client before a server that sends without end: it stops reading, and says why."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

import pytest

from cubic_ingestion.domain.feed import ApiKey, Feed
from cubic_ingestion.errors import FeedUnavailableError
from cubic_ingestion.fetchers import http_feed_client
from cubic_ingestion.fetchers.http_feed_client import MAX_LIST_BYTES, HttpFeedClient
from cubic_ingestion_tests.builders import a_table

FEED = Feed("/datasetpublicusersapi/aggregations/sample", a_table())
SINCE = date(2022, 3, 4)
MIB = b" " * (1 << 20)
IN_FLIGHT_BYTES = 64 << 20
"""More than the sockets of both sides buffer."""


class Endless:
    """A server whose answer has no end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.n_sent = 0


@contextmanager
def endless(status: int, chunks: Callable[[], Iterator[bytes]], **headers: str) -> Generator[Endless]:
    """Serve one answer, whose body goes on until the client closes the connection."""
    stopped = threading.Event()

    class Sender(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                for chunk in chunks():
                    if stopped.is_set() or told.n_sent > MAX_LIST_BYTES + IN_FLIGHT_BYTES:
                        return
                    self.wfile.write(chunk)
                    told.n_sent += len(chunk)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as server:
        told = Endless(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield told
        stopped.set()
        server.shutdown()


def refusal(server: Endless) -> FeedUnavailableError:
    client = HttpFeedClient(server.url, {ApiKey.PUBLIC: "key"}, {ApiKey.PUBLIC: "CUBIC_DMAP_PUBLIC_API_KEY"})
    try:
        with pytest.raises(FeedUnavailableError) as raised:
            client.page(FEED, since=SINCE, offset=0)
    finally:
        client.close()
    return raised.value


def test_a_list_without_end_is_read_no_further_than_the_limit() -> None:
    with endless(200, lambda: repeat(MIB)) as server:
        assert "its list has more than 16,777,216 bytes" in str(refusal(server))
        assert server.n_sent <= MAX_LIST_BYTES + IN_FLIGHT_BYTES


@pytest.mark.parametrize(("status", "words"), [(500, "HTTP 500"), (404, "HTTP 404"), (302, "again and again")])
def test_an_answer_that_is_no_list_is_not_read(status: int, words: str) -> None:
    with endless(status, lambda: repeat(MIB), Location=FEED.relative_url) as server:
        assert words in str(refusal(server))
        assert server.n_sent < MAX_LIST_BYTES + IN_FLIGHT_BYTES


def test_a_list_that_trickles_without_end_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_feed_client, "MAX_LIST_SECONDS", 0)
    with endless(200, lambda: repeat(b" ")) as server:
        assert "its list took more than 0 seconds" in str(refusal(server))
