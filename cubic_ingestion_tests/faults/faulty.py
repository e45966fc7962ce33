"""Stores and a catalog that go wrong at one call: an error, a lost answer, a kill, other bytes."""

import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Container, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import date
from enum import StrEnum
from typing import Any, BinaryIO

import pytest

from cubic_ingestion.domain.feed import BadItem, Feed, Offer
from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import (
    CatalogUnavailableError,
    CubicIngestionError,
    FeedUnavailableError,
    StoreUnavailableError,
)
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import (
    Body,
    CatalogEntry,
    Committed,
    FeedClient,
    Keep,
    ObjectStore,
    ObjectWriter,
    ProductEntry,
    Stores,
    TableCatalog,
    TellSkipped,
    keep_nothing,
)

_CUT_BYTES = 3


class Fault(StrEnum):
    """What goes wrong at a call."""

    ERROR = "error"
    """It fails and does nothing."""
    TIMEOUT = "timeout"
    """It does its work, and the answer is lost."""
    KILLED_BEFORE = "killed before"
    """The process ends before the call does anything."""
    KILLED_AFTER = "killed after"
    """The process ends when the call is done."""
    TRUNCATED = "truncated"
    """A body that is opened ends early, without an error."""
    OVERWRITTEN = "overwritten"
    """Just before it the original in Incoming gets other bytes."""


KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
EACH = range(1, sys.maxsize)
"""The numbers of all calls of a name."""


class Killed(BaseException):
    """The process is dead. No code of the product catches this."""


@dataclass
class FaultPlan:
    """What goes wrong, and at which calls; without a fault, the plan only counts the calls.

    A kill is an exception that nothing catches. After it, every call that the plan knows raises it again, so that
    clean-up code of the dead process changes nothing. In a process of its own, a kill can be a real SIGKILL.
    """

    at: str = ""
    """Name of the call."""
    fault: Fault | None = None
    numbers: Container[int] = (1,)
    """Which calls of that name, counted from 1."""
    key: str = ""
    """Part of the key of the object; calls for other objects are left alone."""
    error: Callable[[], BaseException] | None = None
    """What an error or a timeout raises, if not the error of a broken connection."""
    overwrite: Callable[[], object] = lambda: None
    is_real: bool = False
    """Whether a kill is a SIGKILL."""
    calls: Counter[str] = field(default_factory=Counter[str])
    """How often each call was made, in the order of the first ones."""
    is_spent: bool = False
    is_dead: bool = False

    def around(self, call: str, key: str, work: Callable[[], Any], error: Exception) -> Any:
        """Do a call's work, or what its fault makes of it."""
        fault = self._strikes(call, key)
        if fault is Fault.ERROR:
            raise self.error() if self.error else error
        if fault is Fault.KILLED_BEFORE:
            self._kill()
        if fault is Fault.OVERWRITTEN:
            self.overwrite()
        outcome = work()
        if fault is Fault.TIMEOUT:
            raise self.error() if self.error else error
        if fault is Fault.KILLED_AFTER:
            self._kill()
        return fault if fault is Fault.TRUNCATED else outcome

    def _strikes(self, call: str, key: str) -> Fault | None:
        """Count a call, and return what goes wrong at it."""
        if self.is_dead:
            raise Killed
        self.calls[call] += 1
        if call != self.at or self.calls[call] not in self.numbers or self.key not in key:
            return None
        self.is_spent = True
        return self.fault

    def _kill(self) -> None:
        if self.is_real:
            os.kill(os.getpid(), signal.SIGKILL)
        self.is_dead = True
        raise Killed


def kills(calls: Mapping[str, int]) -> list[Any]:
    """Return cells: a kill before and one after each call, from how often each call is made."""
    return [
        pytest.param(call, number, fault, id=f"{fault} {call} {number}")
        for call, n_calls in calls.items()
        for number in range(1, n_calls + 1)
        for fault in KILLS
    ]


def faulty(platform: Platform, plan: FaultPlan) -> Platform:
    """Put a fault plan between a platform's verbs, its stores, its catalog and its warehouse's bucket."""
    stores = platform.stores
    zones: Any = {zone.name: FaultyStore(zone.name, getattr(stores, zone.name), plan) for zone in fields(stores)}
    catalog = FaultyCatalog(platform.catalog, plan)
    warehouse: Any = platform.warehouse
    warehouse = replace(warehouse, bucket=FaultyStore("warehouse", warehouse.bucket, plan))
    return replace(platform, stores=Stores(**zones), catalog=catalog, warehouse=warehouse)


class FaultyStore:
    """A zone; its calls are ``<zone>.list``, ``head``, ``open``, ``write``, ``commit`` and ``delete``."""

    def __init__(self, zone: str, store: ObjectStore, plan: FaultPlan) -> None:
        self._zone = zone
        self._store = store
        self._plan = plan

    def require(self) -> None:
        """Look whether the bucket is there."""
        self._around("require", "", self._store.require)

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """List."""
        return iter(self._around("list", prefix, lambda: list(self._store.list(prefix, after=after, skipped=skipped))))

    def prefixes(self, prefix: str) -> Sequence[str]:
        """List folders."""
        return self._around("prefixes", prefix, lambda: self._store.prefixes(prefix))

    def head(self, key: str) -> ObjectVersion | None:
        """Look."""
        return self._around(_named("head", key), key, lambda: self._store.head(key))

    @contextmanager
    def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
        """Open for reading."""
        fault = self._around(_named("open", key), key, lambda: None)
        with self._store.open(key, etag) as body:
            yield io.BytesIO(body.read()[:-_CUT_BYTES]) if fault is Fault.TRUNCATED else body

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open for writing."""
        self._around(_named("write", key), key, lambda: None)
        with self._store.writer(key) as writer:
            yield FaultyWriter(writer, lambda work: self._around(_named("commit", key), key, work))

    def delete(self, key: str, etag: str) -> None:
        """Delete."""
        self._around(_named("delete", key), key, lambda: self._store.delete(key, etag))

    def uri(self, key: str) -> str:
        """Name; nothing can go wrong."""
        return self._store.uri(key)

    def _around(self, call: str, key: str, work: Callable[[], Any]) -> Any:
        return self._plan.around(f"{self._zone}.{call}", key, work, StoreUnavailableError(key, "connection reset"))


class FaultyWriter:
    """An object being written."""

    def __init__(self, writer: ObjectWriter, around: Callable[[Callable[[], Any]], Any]) -> None:
        self._writer = writer
        self._around = around

    @property
    def file(self) -> BinaryIO:
        """Where the bytes go."""
        return self._writer.file

    def commit(self) -> Committed:
        """Publish."""
        return self._around(self._writer.commit)


class FaultyCatalog:
    """The catalog; its calls are ``catalog.register`` and ``catalog.show``."""

    def __init__(self, catalog: TableCatalog, plan: FaultPlan) -> None:
        self._catalog = catalog
        self._plan = plan
        self.address = catalog.address

    def query(self, name: str) -> str:
        """Name a query; nothing can go wrong."""
        return self._catalog.query(name)

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
        """Read partitions; the audit alone does, and it is never struck."""
        return self._catalog.partitions(table)

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        """Ask for partitions; as above."""
        return self._catalog.missing(entry)

    def show(self, entry: ProductEntry) -> None:
        """Show a product."""
        error = CatalogUnavailableError(entry.name, "throttled")
        self._plan.around("catalog.show", "", lambda: self._catalog.show(entry), error)

    def shows(self, product: str, uris: Collection[str]) -> bool:
        """Compare a product; as above."""
        return self._catalog.shows(product, uris)

    def register(
        self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
    ) -> Mapping[str, CubicIngestionError]:
        """Register."""
        error = CatalogUnavailableError("any", "throttled")
        return self._plan.around("catalog.register", "", lambda: self._catalog.register(entries, keep), error)


class FaultyFeedClient:
    """The vendor's API; its calls are ``client.page`` and ``client.download``."""

    def __init__(self, client: FeedClient, plan: FaultPlan) -> None:
        self._client = client
        self._plan = plan

    def page(self, feed: Feed, *, since: date, offset: int) -> Sequence[Offer | BadItem]:
        """List."""
        return self._around("page", lambda: self._client.page(feed, since=since, offset=offset))

    @contextmanager
    def download(self, offer: Offer) -> Generator[Body]:
        """Open a data set's file."""
        with ExitStack() as opened:
            yield self._around("download", lambda: opened.enter_context(self._client.download(offer)))

    def _around(self, call: str, work: Callable[[], Any]) -> Any:
        return self._plan.around(f"client.{call}", "", work, FeedUnavailableError("any", "connection reset"))


def _named(call: str, key: str) -> str:
    """Tell a file's calls from those of what goes with it."""
    ending = next((f" {ending}" for ending in (".dfm", ".error.json") if key.endswith(ending)), "")
    return f"{call}{ending}"
