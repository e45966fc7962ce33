"""The vendor: what it has, what it answers, and the server that it answers by."""

import re
import threading
from collections.abc import Callable
from email.message import Message
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from cubic_ingestion.fake_vendor.answers import Answer, blob, expired, failed, listed
from cubic_ingestion.fake_vendor.armed import Armed
from cubic_ingestion.fake_vendor.data_sets import DataSet, DataSets, ListRules, Rows, csv_gz
from cubic_ingestion.fake_vendor.journal import Journal, SeenRequest
from cubic_ingestion.fake_vendor.links import FILES, Links
from cubic_ingestion.fake_vendor.server import Exchange, VendorServer

_FEED = re.compile(r"/(datasetpublicusersapi|datasetcontrolleduserapi)/[^/]+/[^/]+")


class FakeVendor:
    """The vendor's API on localhost, as a context manager.

    Feeds below ``/datasetpublicusersapi/`` open to the public key, those below ``/datasetcontrolleduserapi/`` to the
    other, each in the header ``apikey``. A feed that nothing was published to is empty.
    """

    def __init__(
        self,
        *,
        public_api_key: str = "demo-public",
        controlled_api_key: str = "demo-controlled",
        rules: ListRules | None = None,
        link_uses: int | None = None,
        port: int = 0,
        on_request: Callable[[SeenRequest], None] | None = None,
    ) -> None:
        """Listen; answers begin when the context is entered.

        Args:
            public_api_key: Key of the public family.
            controlled_api_key: Key of the controlled family.
            rules: How the list selects and pages; may be replaced at any time.
            link_uses: Requests after which a link expires; None if only ``expire_links`` ends it.
            port: Where to listen; any free one if 0.
            on_request: Called with each request, one at a time.

        Raises:
            OSError: The port cannot be had.
        """
        self.api_keys = {"datasetpublicusersapi": public_api_key, "datasetcontrolleduserapi": controlled_api_key}
        self.rules = rules or ListRules()
        self.lists = Armed()
        """Misbehaviours of lists."""
        self.files = Armed()
        """Misbehaviours of files."""
        self._data_sets = DataSets()
        self._links = Links(link_uses)
        self._journal = Journal(on_request)
        self._server = VendorServer(self._exchange, port)
        self._thread = threading.Thread(target=self._server.serve, name="fake-vendor")

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End every conversation, and be gone."""
        self._server.stop()
        self._thread.join()

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def publish(
        self,
        feed_url: str,
        data_set_type: str,
        dataset_id: str,
        content: Rows | bytes,
        *,
        start_date: str,
        end_date: str,
        last_updated: str,
    ) -> None:
        """Add a data set to a feed, or put a newer version in its place; what is in it is not judged.

        Args:
            feed_url: Path of the feed, which begins with the family.
            data_set_type: The item's ``id``, such as ``agg_sample``.
            dataset_id: Its name, such as ``sample_20220517``.
            content: Records, which become compressed CSV, or the file's bytes.
            start_date: First day covered.
            end_date: Last day covered.
            last_updated: When, as the list words it; naive, in UTC.
        """
        body = _body(content)
        self._data_sets.put(DataSet(feed_url, data_set_type, dataset_id, body, start_date, end_date, last_updated))

    def restate(self, feed_url: str, dataset_id: str, content: Rows | bytes, *, last_updated: str) -> None:
        """Publish other content and a newer time under a data set's name.

        Raises:
            LookupError: There is none to restate.
        """
        self._data_sets.restate(feed_url, dataset_id, _body(content), last_updated)

    def expire_links(self) -> None:
        """Let all links given out so far expire."""
        self._links.expire()

    def release(self) -> None:
        """Close the connections that hang now; those of later requests hang again."""
        self._server.release()

    @property
    def requests(self) -> tuple[SeenRequest, ...]:
        """All requests, in the order they were answered."""
        return self._journal.requests()

    @property
    def downloads(self) -> tuple[SeenRequest, ...]:
        """The requests for files, whatever became of them."""
        return tuple(request for request in self.requests if request.is_download)

    @property
    def listings(self) -> tuple[SeenRequest, ...]:
        """The requests that were not for files."""
        return tuple(request for request in self.requests if not request.is_download)

    @property
    def most_downloads_at_once(self) -> int:
        """Greatest number of downloads under way at the same time; one that hangs no longer counts."""
        return self._journal.most_at_once()

    def forget_requests(self) -> None:
        """Count from here."""
        self._journal.clear()

    def _exchange(self, target: str, headers: Message) -> Exchange:
        path, _, query = target.partition("?")
        is_download = path.startswith(FILES)
        end = self._journal.download() if is_download else _nothing
        try:
            if is_download:
                answer = self.files.applied(target, self._file(target))
            else:
                answer = self.lists.applied(target, self._list(path, query, headers))
        except BaseException:
            end()
            raise
        names = frozenset(name.lower() for name in headers)
        self._journal.note(SeenRequest("GET", path, query, names, None if answer.is_silent else answer.status))
        return Exchange(answer, end)

    def _file(self, target: str) -> Answer:
        data_set = self._links.redeem(target)
        return blob(data_set.body) if data_set else expired()

    def _list(self, path: str, query: str, headers: Message) -> Answer:
        feed = _FEED.fullmatch(path)
        if not feed:
            return failed(404, "Resource not found")
        if headers.get_all("apikey") != [self.api_keys[feed[1]]]:
            return failed(401, "Access denied due to invalid subscription key.")
        try:
            shown = self._data_sets.page(path, dict(parse_qsl(query, keep_blank_values=True)), self.rules)
        except ValueError as error:
            return failed(400, str(error))
        return listed([data_set.item(self.url + self._links.issue(data_set)) for data_set in shown])


def _body(content: Rows | bytes) -> bytes:
    return content if isinstance(content, bytes) else csv_gz(content)


def _nothing() -> None:
    """End what was not a download."""
