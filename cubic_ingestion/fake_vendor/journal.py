"""What the vendor saw: requests, and how many downloads there were at once."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from cubic_ingestion.fake_vendor.links import FILES


@dataclass(frozen=True)
class SeenRequest:
    """A request as it came in, and the status it was answered with."""

    method: str
    path: str
    query: str
    """As it was sent, encoded."""
    header_names: frozenset[str]
    """In lower case; what the headers said is not kept."""
    status: int | None
    """None if nothing was answered."""

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def is_download(self) -> bool:
        """Whether it asked for a file, and not for a list."""
        return self.path.startswith(FILES)


class Journal:
    """Requests in the order they were answered."""

    def __init__(self, on_request: Callable[[SeenRequest], None] | None) -> None:
        self._lock = threading.RLock()  # who is called with a request may ask for all of them
        self._requests: list[SeenRequest] = []
        self._on_request = on_request
        self._n_at_once = 0
        self._most_at_once = 0

    def note(self, request: SeenRequest) -> None:
        """Record a request."""
        with self._lock:
            self._requests.append(request)
            if self._on_request:
                self._on_request(request)

    def requests(self) -> tuple[SeenRequest, ...]:
        """Return all requests so far."""
        with self._lock:
            return tuple(self._requests)

    def most_at_once(self) -> int:
        """Return the greatest number of downloads that were under way at the same time."""
        with self._lock:
            return self._most_at_once

    def clear(self) -> None:
        """Forget what was seen; downloads that are under way still count."""
        with self._lock:
            self._requests.clear()
            self._most_at_once = self._n_at_once

    def download(self) -> Callable[[], None]:
        """Count a download as under way, and return what ends it; ending it twice ends it once."""
        with self._lock:
            self._n_at_once += 1
            self._most_at_once = max(self._most_at_once, self._n_at_once)
        is_under_way = True

        def end() -> None:
            nonlocal is_under_way
            with self._lock:
                self._n_at_once -= is_under_way
                is_under_way = False

        return end
