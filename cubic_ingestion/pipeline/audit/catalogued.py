"""The catalog: whether people find there what stands in Springboard, and nothing else."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from cubic_ingestion.domain.layout import PART_NAME, partition_folder, partition_names, partition_values
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import CatalogUnavailableError, SettingsError
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode
from cubic_ingestion.ports import Platform

_LONGEST_PAUSE = timedelta(hours=1)
"""After so long at the most, a table that the catalog refused is tried again."""

_MOST_UNREADABLE = 3
"""After so many the catalog itself is taken for unreadable; further tables would wait as long for the same answer."""

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _OnRecord:
    """Partitions of a table, as the metadata database has them at one moment."""

    standing: frozenset[Values]
    """Those with rows."""
    pending: frozenset[Values]
    """Those with a change that the catalog has yet to be told of."""


class CatalogCheck:
    """Compares the catalog's partitions with the metadata database, table by table.

    What the catalog has yet to be told of is no discrepancy, unless it has waited for too long. A partition whose
    Parquet is missing, or has no load, is left to the check of Springboard.
    """

    zone = "catalog"

    def __init__(self, platform: Platform, audit: Audit) -> None:
        self._platform = platform
        self._audit = audit

    def check(self, tell: Callable[[str, int], None] | None) -> Iterator[Finding]:
        """Yield what is wrong, one finding a table and kind."""
        yield from self._waiting()
        names = dict.fromkeys(count.table for count in self._platform.repository.status_counts())
        n_unreadable = 0
        for table in (self._platform.tables[name] for name in names if name in self._platform.tables):
            try:
                yield from self._differing(table, tell)
            except (CatalogUnavailableError, SettingsError) as error:
                yield self._finding(FindingCode.CATALOG_UNREADABLE, table, str(error))
                n_unreadable += 1
                if n_unreadable == _MOST_UNREADABLE:
                    return

    def _waiting(self) -> Iterator[Finding]:
        patience = _LONGEST_PAUSE + timedelta(seconds=2 * self._platform.limits.claim_timeout_seconds)
        since = self._platform.clock.now() - patience
        for behind in self._platform.repository.catalog_backlog():
            table = self._platform.tables.get(behind.table)
            if table is not None and behind.oldest_at < since:
                why = f"; it refused the table last: {behind.error}" if behind.error else ""
                at = f"{behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC"
                problem = f"{behind.n_changes} changes wait for the catalog, the oldest since {at}{why}."
                yield self._finding(FindingCode.CATALOG_BEHIND, table, problem)

    def _differing(self, table: Table, tell: Callable[[str, int], None] | None) -> Iterator[Finding]:
        """Compare a table; what changes meanwhile is on record as pending, or differs between two looks."""
        before = self._on_record(table)
        found = frozenset(self._platform.catalog.partitions(table, partition_names(table)))
        after = self._on_record(table)
        self._audit.n_partitions += len(found & before.standing)
        if tell:
            tell(self.zone, len(found))
        missing = (before.standing & after.standing) - before.pending - found
        if lacking := [values for values in sorted(missing) if self._has_rows(table, values)]:
            yield self._finding(FindingCode.NOT_IN_CATALOG, table, _counted("are not in the catalog", table, lacking))
        strays = found - before.standing - after.standing - before.pending - after.pending
        if dangling := [values for values in sorted(strays) if not self._is_there(table, values)]:
            yield self._finding(FindingCode.DANGLING_PARTITION, table, _counted("lead nowhere", table, dangling))

    def _on_record(self, table: Table) -> _OnRecord:
        repository = self._platform.repository
        keys = [key for keys in repository.locations_by_schema(table.name).values() for key in keys]
        return _OnRecord(_values(table, keys), _values(table, repository.catalog_pending(table.name)))

    def _has_rows(self, table: Table, values: Values) -> bool:
        """Say whether there is anything to find; a file with a header alone has no rows."""
        key = partition_folder(table, values) + PART_NAME
        load = self._platform.repository.newest_at([key]).get(key)
        return load is not None and bool(load.n_rows) and self._is_there(table, values)

    def _is_there(self, table: Table, values: Values) -> bool:
        return self._platform.stores.springboard.head(partition_folder(table, values) + PART_NAME) is not None

    def _finding(self, code: FindingCode, table: Table, problem: str) -> Finding:
        return Finding.of(code, self.zone, table.catalog_name, problem)


def _values(table: Table, keys: Collection[str]) -> frozenset[Values]:
    return frozenset(values for key in keys if (values := partition_values(table, key)) is not None)


def _counted(what: str, table: Table, partitions: Collection[Values]) -> str:
    first = "/".join(map("=".join, zip(partition_names(table), min(partitions), strict=True)))
    return f"{len(partitions)} partitions {what}, the first: {first}."
