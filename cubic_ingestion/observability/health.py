"""Health: whether loads move and arrive as they should, with thresholds that are told; what ``--check`` looks at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Backlog, ErroredLoads
from cubic_ingestion.observability.arrivals import missing_arrivals
from cubic_ingestion.observability.incoming import incoming_missing, not_scanned
from cubic_ingestion.observability.problems import Problem, ProblemCode, Thresholds
from cubic_ingestion.observability.products_behind import products_behind
from cubic_ingestion.observability.products_wrong import products_wrong
from cubic_ingestion.ports import ObjectStore

CLAIM_GRACE = timedelta(minutes=5)
"""A claim that expired is taken over by the next run, which may take so long to come."""


@dataclass(frozen=True, slots=True)
class Health:
    """How things stood at one moment."""

    checked_at: datetime
    problems: list[Problem] = field(default_factory=list[Problem])

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def health(
    tables: Mapping[str, Table],
    ledger: Ledger,
    now: datetime,
    thresholds: Thresholds,
    incoming: ObjectStore | None = None,
) -> Health:
    """Find everything that is wrong. Cheap: no query reads what is archived.

    Args:
        tables: The declared tables by name; what lies ready of an inactive one waits on purpose.
        ledger: Reads the ledger.
        now: The present moment.
        thresholds: From when on something is a problem.
        incoming: The Incoming bucket; without it, what only a look at it can tell is left out.
    """
    longest = timedelta(seconds=thresholds.max_scan_seconds)
    missing = incoming_missing(incoming) if incoming else []
    found = [
        *missing,
        *not_scanned(tables, ledger, None if missing else incoming, now, longest),
        *_standing_still(tables, ledger, now, thresholds),
        *_ahead(ledger, now, thresholds),
        *_errored(ledger, now, thresholds),
        *_quarantined(ledger),
        *_unreported(ledger, now, thresholds),
        *_catalog_behind(ledger, now, thresholds),
        *products_behind(tables, ledger, now, thresholds),
        *products_wrong(tables, ledger),
        *missing_arrivals(tables, ledger, now),
    ]
    return Health(now, [problem for problem in found if problem.code not in thresholds.ignored])


def tables_that_wait_too_long(tables: Mapping[str, Table], ledger: Ledger, now: datetime, limits: Limits) -> set[str]:
    """Return the tables with a load that lacks nothing and that no run takes."""
    problems = _standing_still(tables, ledger, now, Thresholds(limits))
    return {problem.table for problem in problems if problem.code is ProblemCode.WAITING_TOO_LONG}


def _standing_still(
    tables: Mapping[str, Table], ledger: Ledger, now: datetime, limits: Thresholds
) -> Iterator[Problem]:
    longest = timedelta(seconds=limits.max_wait_seconds)
    for loads in ledger.counts.open_loads(now):
        table = tables.get(loads.table)
        if table is None or not table.is_active:
            continue  # nobody is to work on them; the audit names them
        if loads.oldest_at and now - loads.oldest_at > longest:
            yield Problem(
                ProblemCode.WAITING_TOO_LONG,
                loads.table,
                loads.oldest_at,
                f"A load is on its way since {loads.oldest_at:%Y-%m-%d %H:%M:%S} UTC, and now {loads.status.value}.",
                f"'cubic loads list --table {loads.table} --status {loads.status.value}'; is the daemon running?",
            )
        if loads.oldest_expired_at and now - loads.oldest_expired_at > CLAIM_GRACE:
            yield Problem(
                ProblemCode.CLAIM_EXPIRED,
                loads.table,
                loads.oldest_expired_at,
                f"A claim on a load that is {loads.status.value} expired at "
                f"{loads.oldest_expired_at:%Y-%m-%d %H:%M:%S} UTC, and no run has taken the load since.",
                "Is the daemon running, and do runs start? 'cubic ingest' takes such loads too.",
            )


def _ahead(ledger: Ledger, now: datetime, limits: Thresholds) -> Iterator[Problem]:
    for holding in ledger.claims.holdings():
        if holding.ends_at > limits.limits.latest_end(holding.right, now):
            yield Problem(
                ProblemCode.CLAIM_AHEAD,
                holding.name if holding.is_of_a_table else "",
                None,
                f"{holding.holder} holds {holding.subject} until {holding.ends_at:%Y-%m-%d %H:%M:%S} UTC, later than a "
                "claim that is taken now ends. The clock of that process is ahead.",
                "Set the clock of its machine. The next run, or 'cubic ingest', takes over what it holds.",
            )


def _errored(ledger: Ledger, now: datetime, limits: Thresholds) -> Iterator[Problem]:
    hours = limits.errored_hours
    within = "" if hours is None else f" within {hours} hours"
    for loads in ledger.counts.errored(None if hours is None else now - timedelta(hours=hours)):
        yield Problem(
            ProblemCode.ERRORED,
            loads.table,
            loads.newest_at,
            f"{counted(loads.n_loads, 'load was', 'loads were')} sent to Error{within}, and nobody has acknowledged "
            f"that: {loads.code}.{_on_the_way(loads)}",
            f"'cubic loads list --table {loads.table} --status errored', then by the code, in the runbook: "
            "'cubic loads retry', or 'cubic loads acknowledge'.",
        )


def _on_the_way(loads: ErroredLoads) -> str:
    """Say that originals have not come to Error: others would look for them there in vain."""
    if not loads.n_moving:
        return ""
    originals = counted(loads.n_moving, "original is", "originals are")
    return f" {originals} not in Error yet: 'cubic loads list --table {loads.table} --status ready_for_erroring'."


def _quarantined(ledger: Ledger) -> Iterator[Problem]:
    for loads in ledger.counts.quarantined():
        yield Problem(
            ProblemCode.QUARANTINED,
            loads.table,
            loads.newest_at,
            f"{counted(loads.n_records, 'record')} of {counted(loads.n_loads, 'load')} in quarantine, and nobody has "
            "acknowledged that.",
            f"'cubic quarantine list --table {loads.table}'. Correct the declaration and run "
            "'cubic quarantine replay', or 'cubic loads acknowledge'.",
        )


def _unreported(ledger: Ledger, now: datetime, limits: Thresholds) -> Iterator[Problem]:
    for behind in _behind(ledger, Consumer.DAGSTER, now, limits):
        why = f" The last report failed: {behind.error}" if behind.error else ""
        yield Problem(
            ProblemCode.UNREPORTED,
            behind.table,
            behind.oldest_at,
            f"Dagster does not show {counted(behind.n_changes, 'change')} of partitions, {_since(behind)}.{why}",
            "Is the daemon running, and the sensor 'unreported_partitions' on? 'cubic ingest' reports them too.",
        )


def _catalog_behind(ledger: Ledger, now: datetime, limits: Thresholds) -> Iterator[Problem]:
    for behind in _behind(ledger, Consumer.CATALOG, now, limits):
        why = f" The catalog refused the table last: {behind.error}" if behind.error else ""
        yield Problem(
            ProblemCode.CATALOG_BEHIND,
            behind.table,
            behind.oldest_at,
            f"The catalog does not know {counted(behind.n_changes, 'change')}, {_since(behind)}, so queries may "
            f"not find those rows.{why}",
            "If it says why, mend that: the next run or 'cubic ingest' tries again after a pause of at most an hour, "
            "'cubic catalog refresh' at once. Else: is the daemon running, and the sensor 'catalog' on?",
        )


def _since(behind: Backlog) -> str:
    return f"the oldest since {behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC"


def _behind(ledger: Ledger, consumer: Consumer, now: datetime, limits: Thresholds) -> Iterator[Backlog]:
    """Yield what a consumer failed to process, or has not processed for too long."""
    longest = timedelta(seconds=limits.max_wait_seconds)
    for behind in ledger.deliveries[consumer].backlog():
        if behind.error or now - behind.oldest_at > longest:
            yield behind
