"""The port ``FeedClient`` over HTTP, by httpx.

The key goes in the header ``apikey``, to the configured address alone: a list's redirect is followed only within it. A
file's link needs no key, and its redirects are followed anywhere, but not from https to http.
"""

import codecs
import ssl
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from time import monotonic
from typing import Any, cast

import httpx
import msgspec
from typing_extensions import override

from cubic_ingestion.domain.feed import ApiKey, BadItem, Feed, Offer
from cubic_ingestion.errors import FeedUnavailableError, SettingsError
from cubic_ingestion.fetchers.feed_items import read_item
from cubic_ingestion.fetchers.pace import Pace
from cubic_ingestion.ports import Body, FeedClient, LinkExpiredError

PAGE_ITEMS = 100
"""The vendor never gives more at once."""

MAX_LIST_BYTES = 16 << 20
MAX_LIST_SECONDS = 120
"""A page that is larger, or is not there by then, is not read to its end."""

_MOST_REDIRECTS = 5
_CHUNK_BYTES = 1 << 18
_PASSING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS)
_TIMEOUT = httpx.Timeout(15.0, read=60.0)


class HttpFeedClient(FeedClient):
    """The vendor's REST API.

    Args:
        base_url: Its address.
        keys: The keys it has given.
        settings: Names of the settings that have the address and the keys, for errors.
        requests_per_second: No more are made; 0: as many as there are.
    """

    def __init__(
        self, base_url: str, keys: Mapping[ApiKey, str], settings: Mapping[ApiKey, str], requests_per_second: float = 0
    ) -> None:
        self._base_url = httpx.URL(base_url.rstrip("/"))
        self._keys = keys
        self._settings = settings
        self._pace = Pace(requests_per_second)
        # Whatever is sent is wanted as it is: what is inflated on the way cannot be checked against its length.
        self._http = httpx.Client(
            verify=_trusted(),
            timeout=_TIMEOUT,
            headers={"Accept-Encoding": "identity"},
            max_redirects=_MOST_REDIRECTS,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    @override
    def page(self, feed: Feed, *, since: date, offset: int) -> Sequence[Offer | BadItem]:
        parameters = {"last_updated": f"{since:%Y-%m-%d}", "limit": str(PAGE_ITEMS), "offset": str(offset)}
        with _translated(feed.relative_url), self._asked(feed, parameters) as answer:
            self._check(feed, answer)
            results = _results(feed, answer)
        http_host = self._base_url.host if self._base_url.scheme == "http" else None
        return [read_item(item, feed, http_host=http_host) for item in results]

    @override
    @contextmanager
    def download(self, offer: Offer) -> Generator[Body]:
        name = offer.dataset.identifier
        self._pace.wait()
        with _translated(name), self._http.stream("GET", offer.url, follow_redirects=True) as answer:
            if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise LinkExpiredError
            if any(hop.url.scheme == "https" for hop in answer.history) and answer.url.scheme != "https":
                raise FeedUnavailableError(name, "it was sent on from https to http")
            _raise_for_status(name, answer)
            length = answer.headers.get("Content-Length", "")
            yield Body(_chunks(name, answer), int(length) if length.isdecimal() else None)

    @contextmanager
    def _asked(self, feed: Feed, parameters: Mapping[str, str]) -> Generator[httpx.Response]:
        """Ask for a page, and hand the answer on while its body is still to come."""
        url = self._base_url.copy_with(path=self._base_url.path.rstrip("/") + feed.relative_url)
        request = self._http.build_request("GET", url, params=parameters, headers={"apikey": self._keys[feed.api_key]})
        for _ in range(_MOST_REDIRECTS):
            self._pace.wait()
            with closing(self._http.send(request, stream=True)) as answer:
                if answer.next_request is None:
                    yield answer
                    return
            if _origin(answer.next_request.url) != _origin(url):
                reason = "it is sent on to a server that is not given the key"
                raise FeedUnavailableError(feed.relative_url, reason, is_refused=True)
            request = answer.next_request
        raise FeedUnavailableError(feed.relative_url, "it is sent on again and again", is_refused=True)

    def _check(self, feed: Feed, answer: httpx.Response) -> None:
        """Raise if an answer is none.

        Raises:
            SettingsError: The API does not know the key.
            FeedUnavailableError: It will be known later, perhaps.
        """
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            problem = f"The vendor refuses the key for feed {feed.relative_url!r} (HTTP {answer.status_code})."
            raise SettingsError(self._settings[feed.api_key], problem, "Set the one that the vendor has given.")
        _raise_for_status(feed.relative_url, answer)


@cache
def _trusted() -> ssl.SSLContext:
    """Read the certificates that are trusted once, not for each client: it takes 25 ms."""
    return httpx.create_ssl_context()


def _results(feed: Feed, answer: httpx.Response) -> Sequence[object]:
    try:
        decoded = msgspec.json.decode(_content(feed, answer).removeprefix(codecs.BOM_UTF8))
    except msgspec.DecodeError as error:
        kind = answer.headers.get("Content-Type", "nothing that is named")
        raise FeedUnavailableError(feed.relative_url, f"its list is no JSON ({kind})") from error
    listed = cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}
    if listed.get("success") is not True:
        raise FeedUnavailableError(feed.relative_url, "its list says 'success: false'")
    results = listed.get("results")
    if not isinstance(results, list):
        raise FeedUnavailableError(feed.relative_url, "its list has no 'results'")
    return cast("list[object]", results)


def _content(feed: Feed, answer: httpx.Response) -> bytes:
    """Read an answer, and stop at the first byte that is too many."""
    content = bytearray()
    ends_at = monotonic() + MAX_LIST_SECONDS
    for chunk in answer.iter_bytes():
        content += chunk
        if len(content) > MAX_LIST_BYTES:
            raise FeedUnavailableError(feed.relative_url, f"its list has more than {MAX_LIST_BYTES:,} bytes")
        if monotonic() > ends_at:
            raise FeedUnavailableError(feed.relative_url, f"its list took more than {MAX_LIST_SECONDS} seconds")
    return bytes(content)


def _chunks(name: str, answer: httpx.Response) -> Iterator[bytes]:
    with _translated(name):
        yield from answer.iter_raw(_CHUNK_BYTES)


def _raise_for_status(name: str, answer: httpx.Response) -> None:
    if answer.is_success:
        return
    is_refused = answer.is_client_error and answer.status_code not in _PASSING
    raise FeedUnavailableError(
        name, f"HTTP {answer.status_code}", retry_after_seconds=_retry_after_seconds(answer), is_refused=is_refused
    )


def _retry_after_seconds(answer: httpx.Response) -> float | None:
    """Read ``Retry-After``, which gives seconds or a date (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC), timedelta(0)).total_seconds()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


@contextmanager
def _translated(name: str) -> Generator[None]:
    """Turn what httpx raises into the platform's errors; its own words may quote a signed link."""
    try:
        yield
    except httpx.HTTPError as error:
        raise FeedUnavailableError(name, type(error).__name__) from None
