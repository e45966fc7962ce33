"""A zone in which work on some objects goes wrong, as often as a test says; other objects are not touched."""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.ports import ObjectWriter, TellSkipped
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.depot import Depot

Trouble = Callable[[], BaseException]
"""Makes what is raised."""


class TroubledStore(LocalObjectStore):
    """A store that raises something when it is asked for an object whose key matches a pattern."""

    bad: re.Pattern[str]
    times = float("inf")
    """How often it does so."""
    listing: Trouble | None = None
    """What listing a prefix raises that matches the pattern."""
    looking: Trouble | None = None
    reading: Trouble | None = None
    writing: Trouble | None = None

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """List, or raise."""
        self._trouble(self.listing, prefix)
        return super().list(prefix, after=after, skipped=skipped)

    def head(self, key: str) -> ObjectVersion | None:
        """Look, or raise."""
        self._trouble(self.looking, key)
        return super().head(key)

    @contextmanager
    def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
        """Open, or raise."""
        self._trouble(self.reading, key)
        with super().open(key, etag) as file:
            yield file

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Write, or raise."""
        self._trouble(self.writing, key)
        with super().writer(key) as writer:
            yield writer

    def _trouble(self, trouble: Trouble | None, key: str) -> None:
        if trouble and self.times > 0 and self.bad.search(key):
            self.times -= 1
            raise trouble()


def troubled(depot: Depot, zone: str, bad: str, *, times: float = float("inf"), **trouble: Trouble) -> Depot:
    """Give one zone a store that raises something.

    Args:
        depot: The depot.
        zone: The zone.
        bad: A pattern that the keys of the objects in question match somewhere.
        times: How often it does so.
        trouble: What ``listing``, ``looking``, ``reading`` or ``writing`` raises.
    """
    store = TroubledStore(depot.root / zone)
    store.bad, store.times = re.compile(bad), times
    for name, what in trouble.items():
        setattr(store, name, what)
    stores = replace(depot.platform.stores, **{zone: store})
    return replace(depot, platform=replace(depot.platform, stores=stores))
