"""Stores and a catalog that go wrong at one call: an error, a lost answer, a kill, other bytes."""

import io
import os
import signal
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, BinaryIO

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import (
    CatalogUnavailableError,
    CubicIngestionError,
    StoreUnavailableError,
)
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import CatalogEntry, Committed, ObjectStore, ObjectWriter, Stores, TableCatalog, TellSkipped

_CUT_BYTES = 3


class Fault(StrEnum):
    """What goes wrong at a call."""

    ERROR = "error"
    """It fails and does nothing."""
    TIMEOUT = "timeout"
    """It does its work, and the answer is lost."""
    KILLED_BEFORE = "killed before"
    """The process ends, by SIGKILL, before it does anything."""
    KILLED_AFTER = "killed after"
    """The process ends, by SIGKILL, when it is done."""
    TRUNCATED = "truncated"
    """A body that is opened ends early, without an error."""
    OVERWRITTEN = "overwritten"
    """Just before it the original in Incoming gets other bytes."""


@dataclass
class FaultPlan:
    """What goes wrong, and where: at the first call of a name.

    Without a fault it only writes down the names of the calls.
    """

    at: str = ""
    fault: Fault | None = None
    overwrite: Callable[[], None] = lambda: None
    calls: list[str] = field(default_factory=list[str])
    is_spent: bool = False

    def strikes(self, call: str) -> Fault | None:
        """Note a call, and return what goes wrong at it."""
        if call not in self.calls:
            self.calls.append(call)
        if self.is_spent or call != self.at:
            return None
        self.is_spent = True
        return self.fault

    def around(self, call: str, work: Callable[[], Any], error: Exception) -> Any:
        """Do a call's work, or what its fault makes of it."""
        fault = self.strikes(call)
        if fault is Fault.ERROR:
            raise error
        if fault is Fault.KILLED_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault is Fault.OVERWRITTEN:
            self.overwrite()
        outcome = work()
        if fault is Fault.TIMEOUT:
            raise error
        if fault is Fault.KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return fault if fault is Fault.TRUNCATED else outcome


def faulty(platform: Platform, plan: FaultPlan) -> Platform:
    """Put a fault plan between a platform's verbs, its stores and its catalog."""
    stores = platform.stores
    zones: Any = {zone.name: FaultyStore(zone.name, getattr(stores, zone.name), plan) for zone in fields(stores)}
    catalog = FaultyCatalog(platform.catalog, plan)
    return replace(platform, stores=Stores(**zones), catalog=catalog)


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
        return self._plan.around(f"{self._zone}.{call}", work, StoreUnavailableError(key, "connection reset"))


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
    """The catalog; its call is ``catalog.register``."""

    def __init__(self, catalog: TableCatalog, plan: FaultPlan) -> None:
        self._catalog = catalog
        self._plan = plan
        self.address = catalog.address

    def query(self, table: Table) -> str:
        """Name a query; nothing can go wrong."""
        return self._catalog.query(table)

    def partitions(self, table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
        """Read partitions; the audit alone does, and it is never struck."""
        return self._catalog.partitions(table)

    def missing(self, entry: CatalogEntry) -> Collection[tuple[str, ...]]:
        """Ask for partitions; as above."""
        return self._catalog.missing(entry)

    def register(self, entries: Collection[CatalogEntry]) -> Mapping[str, CubicIngestionError]:
        """Register."""
        error = CatalogUnavailableError("any", "throttled")
        return self._plan.around("catalog.register", lambda: self._catalog.register(entries), error)


def _named(call: str, key: str) -> str:
    """Tell a file's calls from those of what goes with it."""
    ending = next((f" {ending}" for ending in (".dfm", ".error.json") if key.endswith(ending)), "")
    return f"{call}{ending}"
