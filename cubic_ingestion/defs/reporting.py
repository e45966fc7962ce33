"""Reporting: makes Dagster show of each partition what the ledger says.

Every change of a partition is on record until it was reported, so a process may end at any moment. A run reports the
partitions that it changed. What it could not report, a sensor reports, and so does the next ``cubic ingest``.

A partition is materialised if it has a file in Springboard, be it one without rows. It has failed if it has none and a
load of it was rejected. Otherwise it is missing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from math import inf
from time import monotonic

import dagster as dg
import structlog

from cubic_ingestion.defs.checks import open_state, record_count_evaluation
from cubic_ingestion.defs.event_log import ever_materialized, of_newest, report_attempt, report_without_run
from cubic_ingestion.defs.inert_text import inert
from cubic_ingestion.defs.partitions import add_partitions, remove_partitions
from cubic_ingestion.defs.translator import asset_key, materialization_metadata
from cubic_ingestion.domain.changes import WHOLE_TABLE, Consumer
from cubic_ingestion.domain.layout import springboard_prefix
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.records import PartitionTotal, TableDeliveries
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.pipeline.claim import claimant_of
from cubic_ingestion.pipeline.heartbeat import Heartbeat
from cubic_ingestion.pipeline.ingest import Report
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.preview import first_rows
from cubic_ingestion.pipeline.release import release_dead

N_CHANGES = 500
"""Changes of a table whose partitions are reported under one lease."""

MAX_CHANGES = 50_000
"""Changes of those partitions that are processed with them: a partition may have changed with each of many loads."""

_LOCATIONS = 20
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
_NO_RUN = "report"
"""Begins the name of a lease that no run holds."""

_GONE = "It was materialised before, and has no rows in Springboard any more."
_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """What became of partitions that have no file in Springboard."""

    rejected: dict[str, str] = field(default_factory=dict[str, str])
    """Why a load of the partition was rejected, by partition."""
    under_way: list[str] = field(default_factory=list[str])
    """Partitions with loads that nobody has rejected or ingested yet."""
    without_loads: list[str] = field(default_factory=list[str])
    """Partitions that nothing was ever delivered for."""


@dataclass(slots=True)
class Reporter:
    """Reports partitions of tables to one instance."""

    platform: Platform
    instance: dg.DagsterInstance
    run_id: str
    """Begins the name of whoever holds the lease; ``release`` gives it back by that."""
    log: Callable[[Sequence[dg.AssetMaterialization]], None]
    """Stores materialisations of one table."""
    ends_at: float = inf
    """From this moment of the monotonic clock on, the rest of the changes is left for the next time."""
    _claimant: str = field(init=False)
    _heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        """Name the holder of the lease."""
        self._claimant = claimant_of(self.run_id)
        self._heartbeat = self._new_heartbeat()

    def report_changes(self, table: Table, ingested: Report | None = None) -> int:
        """Report all changed partitions of a table, and return the number of changes.

        Args:
            table: The table. If somebody else has leased it, its changes are left to them.
            ingested: What this run has ingested, so that its files need not be read again.
        """
        n_changes = 0
        while work := self._claim_partitions(table):
            changed = {each.partition_key for each in work.deliveries if not each.is_seed}
            if seeds := set(work.partition_keys) - changed:
                # They are all partitions with rows, and Dagster shows most of them.
                changed |= seeds - ever_materialized(self.instance, table, seeds)
            self._report(table, work, changed - {WHOLE_TABLE}, ingested)
            n_changes += len(work.deliveries)
            if len(work.deliveries) < N_CHANGES or monotonic() > self.ends_at:
                break
        return n_changes

    def report_requested(self, table: Table, partition_keys: Collection[str], ingested: Report) -> Outcome:
        """Report partitions that the run was started for, whether or not they changed.

        Partitions whose loads were rejected or given back are left to the run, which fails for them.
        """
        work = self._claim(table, partition_keys)
        in_trouble = {load.partition_key for load, _ in [*ingested.rejected, *ingested.released]}
        outcome = self._show(table, set(partition_keys) - in_trouble, ingested)
        gone = ever_materialized(self.instance, table, outcome.without_loads)
        if gone:
            report_attempt(self.instance, table, gone, _GONE)
        missing = set(outcome.without_loads) - gone
        if (outcome.rejected or in_trouble) and missing:
            report_attempt(self.instance, table, missing)  # the run fails, and they have not
        if work:
            self.platform.ledger.deliveries[Consumer.DAGSTER].complete(self._claimant, work)
        return outcome

    def postpone(self, table: Table, reason: str) -> None:
        """Give a table back whose report failed; the pause until the next try doubles each time."""
        work = self._claim(table, n_changes=N_CHANGES)
        if work:
            pause = min(_FIRST_PAUSE * 2 ** min(work.attempts, 10), _LONGEST_PAUSE)
            due_at = self.platform.clock.now() + pause
            self.platform.ledger.deliveries[Consumer.DAGSTER].postpone(self._claimant, work, due_at, reason)

    def _claim_partitions(self, table: Table) -> TableDeliveries | None:
        """Claim the oldest changes, and all later ones of the same partitions: each partition is reported once."""
        work = self._claim(table, n_changes=N_CHANGES)
        if work is None or len(work.deliveries) < N_CHANGES:
            return work
        return self._claim(table, work.partition_keys)

    def _new_heartbeat(self) -> Heartbeat:
        return Heartbeat(self.platform.clock, self.platform.limits.claim_timeout_seconds)

    def _keep(self) -> None:
        """Renew the lease if it is time; cheap to call often."""
        self._heartbeat.beat(partial(self.platform.ledger.deliveries[Consumer.DAGSTER].renew, self._claimant))

    def _claim(
        self, table: Table, partition_keys: Collection[str] | None = None, n_changes: int = MAX_CHANGES
    ) -> TableDeliveries | None:
        now, expires_at = self.platform.claim_term()
        self._heartbeat = self._new_heartbeat()
        claimed = self.platform.ledger.deliveries[Consumer.DAGSTER].claim(
            [table.name],
            claimant=self._claimant,
            now=now,
            expires_at=expires_at,
            n_tables=1,
            n_changes=n_changes,
            partition_keys=partition_keys,
        )
        return claimed[0] if claimed else None

    def _report(
        self, table: Table, work: TableDeliveries, partition_keys: Collection[str], ingested: Report | None
    ) -> None:
        outcome = self._show(table, partition_keys, ingested)
        if outcome.rejected:
            add_partitions(self.instance, table, list(outcome.rejected))
            report_attempt(self.instance, table, outcome.rejected, "\n".join(outcome.rejected.values()))
            self._keep()
        # A late snapshot has moved the loads of these to another partition.
        gone = remove_partitions(self.instance, table, ever_materialized(self.instance, table, outcome.without_loads))
        if gone:
            report_attempt(self.instance, table, gone, _GONE)
        self.platform.ledger.deliveries[Consumer.DAGSTER].complete(self._claimant, work)

    def _show(self, table: Table, partition_keys: Collection[str], ingested: Report | None) -> Outcome:
        """Log a materialisation of each partition that has a file in Springboard, and sort the others."""
        ledger = self.platform.ledger
        totals = ledger.partitions.totals(table.name, partition_keys)
        self._log_materializations(table, totals, ingested)
        others = sorted(set(partition_keys) - totals.keys())
        if not others:
            return Outcome()
        rejected = _reasons(ledger.partitions.rejected(table.name, others))
        with_loads = ledger.partitions.with_loads(table.name, others)
        return Outcome(
            rejected,
            [key for key in others if key in with_loads and key not in rejected],
            [key for key in others if key not in with_loads],
        )

    def _log_materializations(
        self, table: Table, totals: Mapping[str, PartitionTotal], ingested: Report | None
    ) -> None:
        if not totals:
            return
        add_partitions(self.instance, table, list(totals))
        springboard = self.platform.stores.springboard
        n_table_rows = self.platform.ledger.queries.n_rows(table.name)
        files = self.platform.ledger.partitions.newest_files(table.name, totals.keys(), _LOCATIONS)
        events: list[dg.AssetMaterialization] = []
        for key in sorted(totals):
            newest = files[key][0]
            preview = ingested.previews.get(newest.load_id) if ingested else None
            if preview is None and key == max(totals):
                preview = first_rows(springboard, newest.location)  # the asset's page shows the last partition alone
            metadata = materialization_metadata(
                totals[key],
                arrow_schema(newest.columns),
                preview,
                primary_key=newest.primary_key,
                n_table_rows=n_table_rows,
                locations=[file.location for file in files[key]],
                uri=springboard.uri(springboard_prefix(table)),
                changes=_changes(ingested, key),
            )
            events.append(dg.AssetMaterialization(asset_key(table), partition=key, metadata=metadata))
            self._keep()
        self.log(events)
        self._keep()


def report_unreported(
    platform: Platform, instance: dg.DagsterInstance, *, older_than_seconds: int = 0, timeout_seconds: float = inf
) -> int:
    """Report what no run has reported: changes of runs that were killed, rejections while planning, acknowledgements.

    Args:
        platform: The platform.
        instance: Dagster's instance.
        older_than_seconds: Leave a table alone whose changes are all newer; the run that made them reports them itself.
        timeout_seconds: Leave the rest for the next time after this.

    Returns:
        The number of changes reported. A table that cannot be reported is tried again later.
    """
    now, expires_at = platform.claim_term()
    release_dead(platform.ledger, now)
    recorded_before, ends_at = now - timedelta(seconds=older_than_seconds), monotonic() + timeout_seconds
    n_changes = 0
    for name in platform.ledger.deliveries[Consumer.DAGSTER].due(
        list(platform.tables), now=now, expires_at=expires_at, recorded_before=recorded_before
    ):
        if monotonic() > ends_at:
            break
        reporter = Reporter(platform, instance, _NO_RUN, partial(report_without_run, instance), ends_at)
        try:
            n_changes += reporter.report_changes(platform.tables[name])
            report_open_state(platform, instance, platform.tables[name])
        except Exception as error:  # noqa: BLE001 - the trouble of one table must not stop the others
            _log.exception("partitions not reported", table=name)
            reporter.postpone(platform.tables[name], f"{type(error).__name__}: {error}")
    return n_changes


def report_open_state(platform: Platform, instance: dg.DagsterInstance, table: Table) -> None:
    """Judge a table's check apart from any run."""
    evaluation = record_count_evaluation(table, open_state(platform, table))
    instance.report_runless_asset_event(of_newest(instance, evaluation))


def _reasons(loads: Sequence[Load]) -> dict[str, str]:
    """Word by partition why its newest rejected load was rejected."""
    reasons: dict[str, str] = {}
    for load in loads:
        if load.partition_key and load.partition_key not in reasons and load.error:
            reason = f"Load {load.id} ({load.version.key}) was rejected: {load.error.code}: {load.error.message}"
            reasons[load.partition_key] = inert(reason)
    return reasons


def _changes(ingested: Report | None, partition_key: str) -> list[str]:
    return [
        f"{load.version.file_name}: {change}"
        for load, change in (ingested.schema_changes if ingested else ())
        if load.partition_key == partition_key
    ]
