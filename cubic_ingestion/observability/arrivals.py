"""Expected arrivals: which days, files and tables should have come by now and did not.

The rules are those of ``domain/arrivals.py``; here is what each is asked of which tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from cubic_ingestion.domain.arrivals import (
    LOOKBACK,
    MAX_GAPS,
    QUIET,
    Habit,
    habit,
    in_words,
    missing_counters,
    missing_days,
    same_stretch_of_past_weeks,
)
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.snapshot import snapshot_id
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.observability.problems import Problem, ProblemCode
from cubic_ingestion.streams.ods import load_counter

_FILES_SHOWN = 10
_WEEKS_HEARD = 3


def missing_arrivals(tables: Mapping[str, Table], ledger: Ledger, now: datetime) -> list[Problem]:
    """Find what active tables should have received by now, and did not; ordered by table."""
    active = [table for table in tables.values() if table.is_active]
    found = [
        *_missing_days([table for table in active if table.stream is StreamName.DMAP], ledger, now),
        *_missing_files([table for table in active if table.stream is StreamName.ODS], ledger, now),
        *_silent([table for table in active if table.base or table.stream is StreamName.KAFKA], ledger, now),
        *_stale(active, ledger, now),
    ]
    return sorted(found, key=lambda problem: (problem.table, problem.code))


def _missing_days(tables: Sequence[Table], ledger: Ledger, now: datetime) -> Iterator[Problem]:
    by_table = ledger.counts.days([table.name for table in tables], now - LOOKBACK) if tables else {}
    for table, delivered in by_table.items():
        if days := missing_days(delivered, now):
            yield Problem(
                ProblemCode.MISSING_DAY,
                table,
                None,
                f"{counted(len(days), 'day has', 'days have')} no data, and the table has a daily habit: "
                f"{in_words(days)}.",
                f"'cubic loads list --table {table} --status errored' shows rejected files. For the other days, see "
                "whether the vendor's API lists them ('cubic_dmap_datasets' has what was fetched), and ask for them.",
            )


def _missing_files(tables: Sequence[Table], ledger: Ledger, now: datetime) -> Iterator[Problem]:
    bases = [table.name for table in tables if table.base is None]
    for full_load in ledger.counts.full_loads(bases) if bases else ():
        if now - full_load.newest_at < QUIET:
            continue
        counters = [counter for name in full_load.file_names if (counter := load_counter(name))]
        if missing := missing_counters(counters) if counters else []:
            shown = ", ".join(f"LOAD{'_' if '_' in text else ''}{text}" for text in missing[:_FILES_SHOWN])
            yield Problem(
                ProblemCode.MISSING_LOAD_FILE,
                full_load.table,
                full_load.newest_at,
                f"The full load of snapshot {snapshot_id(full_load.snapshot)} lacks "
                f"{counted(len(missing), 'file')}: {shown}{', …' if len(missing) > _FILES_SHOWN else ''}.",
                "See whether they lie in Incoming; if not, ask for a reload of the table.",
            )


def _silent(tables: Sequence[Table], ledger: Ledger, now: datetime) -> Iterator[Problem]:
    times = ledger.counts.source_times([table.name for table in tables], MAX_GAPS + 1) if tables else {}
    habits = {table: usual for table, each in times.items() if (usual := habit(each))}
    silent = {table: max(times[table]) for table, usual in habits.items() if now - max(times[table]) > usual.limit}
    stretches = {table: same_stretch_of_past_weeks(since, now) for table, since in silent.items()}
    n_heard = ledger.counts.n_heard(stretches) if stretches else {}
    for table, since in silent.items():
        # It is news if most of the past weeks were not silent at these hours.
        if not stretches[table] or n_heard[table] >= _WEEKS_HEARD:
            yield _silence(table, habits[table], since)


def _silence(table: str, usual: Habit, since: datetime) -> Problem:
    return Problem(
        ProblemCode.SILENT,
        table,
        since,
        f"Nothing newer than {since:%Y-%m-%d %H:%M:%S} UTC has come; half of its files come within "
        f"{_plain(usual.median_gap)} of each other, and {_plain(usual.limit)} is more than it is used to.",
        "See whether files lie in Incoming; if not, ask whether the vendor's task for this table is running.",
    )


def _stale(tables: Sequence[Table], ledger: Ledger, now: datetime) -> Iterator[Problem]:
    declared = {table.name: table.fresh_within_hours for table in tables if table.fresh_within_hours}
    newest = ledger.counts.newest() if declared else {}
    for name, hours in declared.items():
        if name in newest and now - newest[name].registered_at > timedelta(hours=hours):
            since = newest[name].registered_at
            yield Problem(
                ProblemCode.STALE,
                name,
                since,
                f"Its newest data came at {since:%Y-%m-%d %H:%M:%S} UTC; the declaration allows {hours} hours.",
                "As for a missing day or a silent table: see what lies in Incoming, then ask the vendor.",
            )


def _plain(span: timedelta) -> str:
    """Word a stretch of time in the unit that suits it."""
    seconds = span.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
