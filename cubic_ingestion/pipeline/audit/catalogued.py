"""The catalog: whether people find there what stands in Springboard, and nothing else.

Both directions are compared page by page: loads with the catalog, and what the catalog lists with the loads.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby

import pyarrow as pa

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.layout import (
    PART_NAME,
    partition_folder,
    partition_names,
    partition_values,
    springboard_prefix,
)
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import CatalogUnavailableError, SettingsError
from cubic_ingestion.pipeline.audit.findings import Audit, Counted, Finding, FindingCode, Tell
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import CatalogEntry, CatalogPartition

PAGE_LOADS = 1_000

_LONGEST_PAUSE = timedelta(hours=1)
"""After so long at the most, a table that the catalog refused is tried again."""

_MOST_UNREADABLE = 3
"""After so many the catalog itself is taken for unreadable; further tables would wait as long for the same answer."""

_NO_COLUMNS = pa.schema([])

Values = tuple[str, ...]


class CatalogCheck:
    """Compares the catalog's partitions with the ledger.

    A partition that the catalog has yet to be told of is no discrepancy, unless it has waited for too long. A
    partition whose Parquet is missing, or has no load, is left to the check of Springboard.
    """

    zone = "catalog"

    def __init__(self, platform: Platform, audit: Audit) -> None:
        self._platform = platform
        self._audit = audit
        self._unreadable: dict[str, Finding] = {}

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield what is wrong, one finding per table and kind."""
        yield from self._waiting()
        missing: dict[str, Counted] = defaultdict(Counted)
        for table, partitions in self._standing():
            tell(self.zone, len(partitions))
            for values in self._missing(table, partitions):
                missing[table.name].add(values)
        names = dict.fromkeys(count.table for count in self._platform.ledger.queries.status_counts())
        for table in (self._platform.tables[name] for name in names if name in self._platform.tables):
            if lacking := missing.get(table.name):
                yield self._counted(FindingCode.NOT_IN_CATALOG, table, "missing in the catalog", lacking)
            if strays := self._dangling(table):
                yield self._counted(FindingCode.DANGLING_PARTITION, table, "of the catalog without rows", strays)
        yield from self._unreadable.values()

    def _waiting(self) -> Iterator[Finding]:
        patience = _LONGEST_PAUSE + timedelta(seconds=2 * self._platform.limits.claim_timeout_seconds)
        since = self._platform.clock.now() - patience
        for behind in self._platform.ledger.deliveries[Consumer.CATALOG].backlog():
            table = self._platform.tables.get(behind.table)
            if table is not None and behind.oldest_at < since:
                why = f"; it refused the table last: {behind.error}" if behind.error else ""
                at = f"{behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC"
                changes = counted(behind.n_changes, "change waits", "changes wait")
                problem = f"{changes} for the catalog, the oldest since {at}{why}."
                yield self._finding(FindingCode.CATALOG_BEHIND, table, problem)

    def _standing(self) -> Iterator[tuple[Table, Sequence[CatalogPartition]]]:
        """Yield the partitions that have rows, page by page; a page is of one table."""
        ledger, place = self._platform.ledger, ""
        while page := ledger.queries.standing_after(place, PAGE_LOADS):
            for name, loads in groupby(page, lambda load: load.table):
                if table := self._platform.tables.get(name):
                    places = [load.location for load in loads if load.location and load.n_rows]
                    yield table, self._partitions(table, places)
            place = page[-1].location or ""

    def _missing(self, table: Table, partitions: Sequence[CatalogPartition]) -> Collection[Values]:
        """Return those partitions that people should find, and do not.

        A partition that seems to be missing is looked at again: since then its rows may have been taken back, or the
        catalog may have been told of it.
        """
        missing = self._asked(table, partitions)
        self._audit.n_partitions += 0 if table.name in self._unreadable else len(partitions) - len(missing)
        if not missing:
            return ()
        keys = [self._key(table, values) for values in missing]
        pending = self._platform.ledger.deliveries[Consumer.CATALOG].pending_locations(keys)
        due = self._platform.ledger.schemas.columns_at([key for key in keys if key not in pending])
        return self._asked(table, self._partitions(table, due))

    def _asked(self, table: Table, partitions: Sequence[CatalogPartition]) -> Collection[Values]:
        """Ask the catalog which partitions it has not; if it could not say so of a table, it is asked no more."""
        if not partitions or self._is_unreadable(table):
            return ()
        location = self._platform.stores.springboard.uri(springboard_prefix(table))
        names = partition_names(table)
        entry = CatalogEntry(table, location, _NO_COLUMNS, partition_names=names, partitions=partitions)
        try:
            return self._platform.catalog.missing(entry)
        except (CatalogUnavailableError, SettingsError) as error:
            self._unreadable[table.name] = self._finding(FindingCode.CATALOG_UNREADABLE, table, str(error))
            return ()

    def _dangling(self, table: Table) -> Counted | None:
        """Count the partitions that the catalog lists, that no load has, and whose folder holds no rows."""
        dangling = Counted()
        if self._is_unreadable(table):
            return None
        try:
            for page in self._platform.catalog.partitions(table):
                for values in self._strays(table, page):
                    dangling.add(values)
        except (CatalogUnavailableError, SettingsError) as error:
            self._unreadable[table.name] = self._finding(FindingCode.CATALOG_UNREADABLE, table, str(error))
        return dangling if dangling.n else None

    def _strays(self, table: Table, page: Sequence[Values]) -> Iterator[Values]:
        ledger, width = self._platform.ledger, len(partition_names(table))
        keys = {self._key(table, values): values for values in page if len(values) == width}
        unknown = list(keys.keys() - ledger.queries.newest_at(list(keys)).keys())
        pending = ledger.deliveries[Consumer.CATALOG].pending_locations(unknown) if unknown else ()
        for key in sorted(set(unknown).difference(pending)):
            is_listed = not self._asked(table, self._partitions(table, [key]))  # or it was taken out since
            if is_listed and not self._platform.stores.springboard.head(key):
                yield keys[key]

    def _is_unreadable(self, table: Table) -> bool:
        return table.name in self._unreadable or len(self._unreadable) == _MOST_UNREADABLE

    def _partitions(self, table: Table, locations: Iterable[str]) -> list[CatalogPartition]:
        """Describe the partitions at some places; a place where the table's rows lay before has none."""
        uri = self._platform.stores.springboard.uri
        found = {place: values for place in locations if (values := partition_values(table, place)) is not None}
        return [
            CatalogPartition(values, uri(partition_folder(table, values)), _NO_COLUMNS)
            for place, values in found.items()
            if place == self._key(table, values)
        ]

    @staticmethod
    def _key(table: Table, values: Values) -> str:
        return partition_folder(table, values) + PART_NAME

    def _counted(self, code: FindingCode, table: Table, what: str, differing: Counted) -> Finding:
        first = "/".join(map("=".join, zip(partition_names(table), differing.first, strict=True)))
        return self._finding(code, table, f"{counted(differing.n, 'partition')} {what}, the first: {first}.")

    def _finding(self, code: FindingCode, table: Table, problem: str) -> Finding:
        return Finding.of(code, self.zone, table.catalog_name, problem)
