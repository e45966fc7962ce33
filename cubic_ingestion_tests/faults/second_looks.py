"""What is done with loads that have ended or are overtaken: retry, replay, what was in quarantine, superseding."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import OnBadValue
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import ASKED, KAFKA, PROCESSES, stage, strike
from cubic_ingestion_tests.worlds import World, lay_out, remember

_DMAP, _ODS = a_table(on_bad_value=OnBadValue.QUARANTINE), an_ods_table()
TABLES = (_DMAP, _ODS, KAFKA)
_MENDED = tuple(
    replace(table, columns=tuple(replace(column, type="string") for column in table.columns)) for table in TABLES
)
"""The same tables, declared so that every value fits."""
_FILE = f"{_DMAP.prefix}20220304.csv"
_LOAD = f"{_ODS.prefix}LOAD00000001"
_HEADER = "sample_id,sample_name,sample_count\n"
_PASSES = 3
_PLACES = re.compile(r"(timestamp|version)=[^/]*/")


def _retry(depot: Depot) -> None:
    retry(depot.platform, [load for load in depot.loads() if load.status is LoadStatus.ERRORED])


def _replay(depot: Depot) -> None:
    for table in depot.platform.tables.values():
        loads = [load for load in depot.loads() if load.table == table.name and load.archive_key]
        partitions = sorted({load.partition_key for load in loads if load.partition_key})
        ingest(depot.platform, table, depot.write_load, run_id=ASKED, partition_keys=partitions)


def _nothing(depot: Depot) -> None:
    del depot


STORIES: dict[str, Callable[[Depot], None]] = {"retry": _retry, "replay": _replay, "superseding": _nothing}
"""What a person asks for; whoever gets no answer asks again."""


def prepare(root: Path, story: str) -> None:
    """Make a depot in which loads are archived, in Error and in quarantine; or one whose files are overtaken."""
    lay_out(_overtaken() if story == "superseding" else _ended(), root)


@cache
def _ended() -> World:
    return remember(_end_loads)


@cache
def _overtaken() -> World:
    return remember(_overtake_files)


def _end_loads(root: Path) -> Depot:
    depot = _ingested(root)
    depot.archive()
    return depot


def _ingested(root: Path) -> Depot:
    depot = stage(root, TABLES)
    depot.put(_FILE, f"{_HEADER}1,a,5\n2,b,bad\n".encode())
    depot.put(f"{_LOAD}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
    depot.put(f"{_LOAD}.dfm", _sidecar("2022-03-01T00:00:00.000"))
    depot.put(f"{KAFKA.prefix}a.json", b'{"event_id": "a", "n": "bad"}\n')
    depot.ingest()
    return depot


def _overtake_files(root: Path) -> Depot:
    depot = _ingested(root)
    depot.put(_FILE, f"{_HEADER}3,c,7\n".encode())
    depot.put(f"{_LOAD}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n2,b"))
    depot.put(f"{_LOAD}.dfm", _sidecar("2022-05-01T00:00:00.000"))
    return depot


def strike_a_story(root: Path, story: str, plan: FaultPlan) -> None:
    """Do what was asked for, and what follows from it, with a fault."""
    strike(_reopened(root, story), plan, STORIES[story])


def strike_a_story_in_a_process(root: Path, story: str, at: str, fault: Fault) -> int | None:
    """Do so in a process of its own; returns what it exited with, negative for a signal."""
    process = PROCESSES.Process(target=_strike_a_story, args=(root, story, at, fault))
    process.start()
    process.join()
    return process.exitcode


def _strike_a_story(root: Path, story: str, at: str, fault: Fault) -> None:
    strike_a_story(root, story, FaultPlan(at, fault, is_real=True))


def ask_again(root: Path, story: str) -> Depot:
    """Ask again for what was asked for, in a new process, and let everything come to its end."""
    depot = _reopened(root, story)
    depot.clock.advance(seconds=2 * depot.platform.limits.claim_timeout_seconds)
    STORIES[story](depot)
    for _ in range(_PASSES):
        depot.clock.advance(seconds=2 * depot.platform.limits.claim_timeout_seconds)
        depot.ingest()
        depot.archive()
        depot.catalog()
    return depot


def outcome(depot: Depot) -> tuple[object, ...]:
    """Return the rows of all tables, what became of the loads, and what stands in the zones.

    Which of two versions has the plain folder depends on which came there first, and the times are of today.
    """
    rows = [sorted(map(str, depot.rows(table))) for table in TABLES]
    loads = [(load.version.file_name, load.status.value, load.n_rows, load.n_quarantined) for load in depot.loads()]
    zones = ("incoming", "archive", "error", "springboard")
    files = sorted((zone, _PLACES.sub("", key)) for zone in zones for key in depot.files(zone))
    return rows, loads, files


def _sidecar(started_at: str) -> bytes:
    columns = [{"name": name, "type": "STRING"} for name in ("SAMPLE_ID", "SAMPLE_NAME")]
    return a_dfm(columns, started_at=started_at)


def _reopened(root: Path, story: str) -> Depot:
    return stage(root, TABLES if story == "superseding" else _MENDED)
