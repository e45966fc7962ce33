"""A zone in which work on one object raises what no code expects."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.ports import ObjectWriter
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.depot import Depot

Trouble = Callable[[], BaseException]


class TroubledStore(LocalObjectStore):
    """A store that raises something when an object with a certain text in its key is opened or committed."""

    reading: Trouble | None = None
    """What reading raises."""
    writing: Trouble | None = None
    looking: Trouble | None = None
    bad = ""

    def head(self, key: str) -> ObjectVersion | None:
        """Look, or raise."""
        if self.looking and self.bad in key:
            raise self.looking()
        return super().head(key)

    @contextmanager
    def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
        """Open, or raise."""
        if self.reading and self.bad in key:
            raise self.reading()
        with super().open(key, etag) as file:
            yield file

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Write, or raise."""
        if self.writing and self.bad in key:
            raise self.writing()
        with super().writer(key) as writer:
            yield writer


def troubled(depot: Depot, zone: str, bad: str, **trouble: Trouble) -> Depot:
    """Give one zone a store that raises something.

    Args:
        depot: The depot.
        zone: The zone.
        bad: What the keys of the objects in question have in them.
        trouble: What ``reading``, ``writing`` or ``looking`` raises.
    """
    store = TroubledStore(depot.root / zone)
    store.bad = bad
    for name, what in trouble.items():
        setattr(store, name, what)
    stores = replace(depot.platform.stores, **{zone: store})
    return replace(depot, platform=replace(depot.platform, stores=stores))
