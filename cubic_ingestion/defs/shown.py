"""The audit's comparison with Dagster: whether people see there the partitions that have rows, and no others."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

import dagster as dg

from cubic_ingestion.defs.event_log import shown
from cubic_ingestion.defs.partitions import partition_pages
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.audit import Finding, FindingCode
from cubic_ingestion.pipeline.audit.findings import Counted, Tell
from cubic_ingestion.pipeline.ingestion_platform import Platform

PAGE_SIZE = 5_000
_LONGEST_PAUSE = timedelta(hours=1)
"""After this time at most, a table whose report failed is tried again."""


class DagsterCheck:
    """Compares the partitions that Dagster shows with the ledger, table by table.

    A change that waits to be reported explains a difference, unless it has waited for too long. Both sides are read
    page by page, and the other side is asked about each page, so that memory stays flat.
    """

    zone = "dagster"

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self._platform = platform
        self._instance = instance

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield what is wrong, one finding per table and kind."""
        yield from self._waiting()
        names = dict.fromkeys(count.table for count in self._platform.ledger.queries.status_counts())
        for table in (self._platform.tables[name] for name in names if name in self._platform.tables):
            yield from self._differing(table, tell)

    def _waiting(self) -> Iterator[Finding]:
        patience = _LONGEST_PAUSE + timedelta(seconds=2 * self._platform.limits.claim_timeout_seconds)
        since = self._platform.clock.now() - patience
        for behind in self._platform.ledger.deliveries[Consumer.DAGSTER].backlog():
            table = self._platform.tables.get(behind.table)
            if table is not None and behind.oldest_at < since:
                why = f"; the last report failed: {behind.error}" if behind.error else ""
                at = f"{behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC"
                changes = counted(behind.n_changes, "change of partitions waits", "changes of partitions wait")
                problem = f"{changes} to be reported, the oldest since {at}{why}."
                yield Finding.of(FindingCode.DAGSTER_BEHIND, self.zone, table.name, problem)

    def _differing(self, table: Table, tell: Tell) -> Iterator[Finding]:
        """Compare a table in both directions, page by page."""
        missing, strays = Counted(), Counted()
        for page in self._pages(table):
            tell(self.zone, len(page))
            for key in self._missing(table, page):
                missing.add((key,))
        for page in partition_pages(self._instance, table, PAGE_SIZE):
            tell(f"{self.zone}, its own partitions", len(page))
            for key in self._strays(table, page):
                strays.add((key,))
        if missing.n:
            yield self._finding(FindingCode.NOT_IN_DAGSTER, table, "with rows that Dagster does not show", missing)
        if strays.n:
            yield self._finding(FindingCode.WITHOUT_ROWS, table, "shown as materialised, without rows", strays)

    def _pages(self, table: Table) -> Iterator[Sequence[str]]:
        last = ""
        while partitions := self._platform.ledger.partitions.with_rows(table.name, last, PAGE_SIZE):
            yield partitions
            last = partitions[-1]

    def _missing(self, table: Table, partitions: Collection[str]) -> set[str]:
        """Return the partitions with rows that Dagster does not show.

        What looks wrong is looked at again, since runs may go on meanwhile. What waits to be reported comes first: a
        change is forgotten after Dagster shows it.
        """
        missing = set(partitions).difference(shown(self._instance, table, partitions))
        missing -= self._pending(table, missing)
        missing.difference_update(shown(self._instance, table, missing))
        return self._with_rows(table, missing)

    def _strays(self, table: Table, partitions: Collection[str]) -> set[str]:
        """Return the partitions that show as materialised and have no rows, unless a run works on them."""
        strays = self._settled(table, partitions)
        strays -= self._with_rows(table, strays)
        strays -= self._pending(table, strays)
        strays = self._settled(table, strays)
        return strays - self._with_rows(table, strays)

    def _settled(self, table: Table, partitions: Collection[str]) -> set[str]:
        return {key for key, is_under_way in shown(self._instance, table, partitions).items() if not is_under_way}

    def _pending(self, table: Table, partitions: Collection[str]) -> set[str]:
        return set(self._platform.ledger.deliveries[Consumer.DAGSTER].pending_partitions(table.name, partitions))

    def _with_rows(self, table: Table, partitions: Collection[str]) -> set[str]:
        return set(self._platform.ledger.partitions.totals(table.name, partitions))

    def _finding(self, code: FindingCode, table: Table, what: str, differing: Counted) -> Finding:
        problem = f"{counted(differing.n, 'partition')} {what}, the first: {differing.first[0]}."
        return Finding.of(code, self.zone, table.name, problem)
