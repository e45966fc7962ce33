"""The audit's comparison with Dagster: whether people see there the partitions that have rows, and no others."""

from collections.abc import Collection, Iterator
from datetime import timedelta

import dagster as dg
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from cubic_ingestion.defs.partitions import partitions_of
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.audit import Finding, FindingCode
from cubic_ingestion.pipeline.audit.findings import Tell
from cubic_ingestion.ports import Platform

PAGE_SIZE = 5_000
_LONGEST_PAUSE = timedelta(hours=1)
"""After this time at most, a table whose report failed is tried again."""


class DagsterCheck:
    """Compares the partitions that Dagster shows with the metadata database, table by table.

    A partition whose change has yet to be reported is no discrepancy, unless it has waited for too long. Memory grows
    with the partitions of the largest table, which Dagster hands out all at once.
    """

    zone = "dagster"

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self._platform = platform
        self._instance = instance

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield what is wrong, one finding per table and kind."""
        yield from self._waiting()
        names = dict.fromkeys(count.table for count in self._platform.repository.status_counts())
        for table in (self._platform.tables[name] for name in names if name in self._platform.tables):
            yield from self._differing(table, tell)

    def _waiting(self) -> Iterator[Finding]:
        patience = _LONGEST_PAUSE + timedelta(seconds=2 * self._platform.limits.claim_timeout_seconds)
        since = self._platform.clock.now() - patience
        for behind in self._platform.repository.dagster_backlog():
            table = self._platform.tables.get(behind.table)
            if table is not None and behind.oldest_at < since:
                why = f"; the last report failed: {behind.error}" if behind.error else ""
                at = f"{behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC"
                problem = f"{behind.n_changes} changes of partitions wait to be reported, the oldest since {at}{why}."
                yield Finding.of(FindingCode.DAGSTER_BEHIND, self.zone, table.name, problem)

    def _differing(self, table: Table, tell: Tell) -> Iterator[Finding]:
        """Compare a table; what looks wrong is looked at again, since runs may go on meanwhile."""
        shown, missing = self._shown(table), set[str]()
        for partitions in self._pages(table):
            tell(self.zone, len(partitions))
            missing.update(key for key in partitions if key not in shown)
            shown.difference_update(partitions)
        if missing:
            missing = self._with_rows(table, missing - self._pending(table) - self._shown(table))
        if shown:
            shown = (shown & self._shown(table)) - self._pending(table)
            shown -= self._with_rows(table, shown)
        if missing:
            yield self._finding(FindingCode.NOT_IN_DAGSTER, table, "have rows, and Dagster does not show them", missing)
        if shown:
            yield self._finding(FindingCode.WITHOUT_ROWS, table, "show as materialised, and have no rows", shown)

    def _pages(self, table: Table) -> Iterator[Collection[str]]:
        last = ""
        while partitions := self._platform.repository.partitions_with_rows(table.name, last, PAGE_SIZE):
            yield partitions
            last = partitions[-1]

    def _shown(self, table: Table) -> set[str]:
        """Return the partitions that Dagster's pages show as materialised and not as failed."""
        definition = partitions_of(table)
        status = get_and_update_asset_status_cache_value(self._instance, asset_key(table), definition)
        if status is None:
            return set()
        with dg.partition_loading_context(dynamic_partitions_store=self._instance):
            materialized = status.deserialize_materialized_partition_subsets(definition).get_partition_keys()
            failed = status.deserialize_failed_partition_subsets(definition).get_partition_keys()
            return set(materialized).difference(failed)

    def _pending(self, table: Table) -> set[str]:
        return set(self._platform.repository.dagster_pending(table.name))

    def _with_rows(self, table: Table, partitions: Collection[str]) -> set[str]:
        return set(self._platform.repository.partition_totals(table.name, partitions))

    def _finding(self, code: FindingCode, table: Table, what: str, partitions: Collection[str]) -> Finding:
        problem = f"{len(partitions)} partitions {what}, the first: {min(partitions)}."
        return Finding.of(code, self.zone, table.name, problem)
