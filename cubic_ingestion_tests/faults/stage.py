"""What the faults strike: a small delivery of one kind, brought to its end by passes like the daemon's."""

import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.errors import RetriableError
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.catalog import catalog
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.passes import scan, work_off
from cubic_ingestion.pipeline.release import release
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.at_the_database import faults_at_the_database
from cubic_ingestion_tests.faults.faulty import KILLS, Fault, FaultPlan, Killed, faulty

KAFKA = a_table(
    "cubic__kafka__sample",
    stream=StreamName.KAFKA,
    prefix="cubic/kafka/sample/",
    columns=(Column("event_id", "string"), Column("n", "int64")),
)
_LOAD = "cubic/ods_qlik/EDW.SAMPLE/LOAD00000001"
_CHANGE = "cubic/ods_qlik/EDW.SAMPLE__ct/20220304-101500123"
_STARTED_AT = "2022-03-01T00:00:00.000"
_PASSES = 4
PUBLISHING = (
    "database.insert cubic_deliveries catalog, insert cubic_deliveries dagster, insert cubic_deliveries products, "
    "update cubic_loads ingesting ready_for_archiving"
)
"""The transaction that puts rows on record."""
ASKED = "asked for"
"""The run of what a person asks for."""
PROCESSES = multiprocessing.get_context("forkserver")
"""Forked from one that has all modules, and no threads."""
PROCESSES.set_forkserver_preload(
    [
        __name__,
        "cubic_ingestion.defs",
        "cubic_ingestion.defs.headless",
        "duckdb",
        "filelock",
        "pandas",
        "pyarrow.pandas_compat",
    ]
)


@dataclass(frozen=True)
class Delivery:
    """Files of one kind of load, one of which is wrong."""

    table: Table
    files: Mapping[str, bytes]
    original: str
    """Key of the file that is overwritten where something is."""
    other: Mapping[str, bytes]
    """What it is overwritten with, sidecar included."""
    needs: tuple[Table, ...] = ()
    """Tables whose files come with it."""

    def put(self, depot: Depot, files: Mapping[str, bytes]) -> None:
        """Let files land, sidecars last."""
        for key in sorted(files, key=lambda key: key.endswith(".dfm")):
            landing = depot.put(key + ".landing", files[key])
            landing.rename(landing.with_name(key.rpartition("/")[2]))


def _ods(stem: str, rows: str, n_rows: int) -> dict[str, bytes]:
    sidecar = a_dfm(record_count=n_rows, started_at=_STARTED_AT)
    return {f"{stem}.csv.gz": csv_gz(f"SAMPLE_ID,SAMPLE_NAME\n{rows}"), f"{stem}.dfm": sidecar}


def _batch(*records: Mapping[str, object]) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


_DMAP_HEADER = "sample_id,sample_name,sample_count\n"
DELIVERIES = {
    "ods": Delivery(
        an_ods_table(),
        _ods(_LOAD, "1,a\n2,b\n", 2) | _ods(_LOAD.replace("01", "02"), "3,c\n", 7),
        f"{_LOAD}.csv.gz",
        _ods(_LOAD, "8,other\n9,bytes\n10,here\n", 3),
    ),
    "ods changes": Delivery(
        a_change_table(),
        _ods(_LOAD, "1,a\n", 1) | _ods(_CHANGE, "1,a\n2,b\n", 2) | _ods(_CHANGE.replace("1015", "1016"), "x,c\n", 1),
        f"{_CHANGE}.csv.gz",
        _ods(_CHANGE, "8,other\n9,bytes\n10,here\n", 3),
        needs=(an_ods_table(),),
    ),
    "dmap": Delivery(
        a_table(),
        {
            "cubic/dmap/agg_sample/20220304.csv.gz": csv_gz(f"{_DMAP_HEADER}1,a,5\n2,b,6\n"),
            "cubic/dmap/agg_sample/20220305.csv": f"{_DMAP_HEADER}1,a,bad\n".encode(),
        },
        "cubic/dmap/agg_sample/20220304.csv.gz",
        {"cubic/dmap/agg_sample/20220304.csv.gz": csv_gz(f"{_DMAP_HEADER}8,other,1\n9,bytes,1\n10,here,1\n")},
    ),
    "kafka": Delivery(
        KAFKA,
        {
            "cubic/kafka/sample/a.json": _batch({"event_id": "a", "n": 1}, {"event_id": "b", "n": 2}),
            "cubic/kafka/sample/b.json": _batch({"event_id": "c", "n": "bad"}),
        },
        "cubic/kafka/sample/a.json",
        {"cubic/kafka/sample/a.json": _batch(*({"event_id": name, "n": 0} for name in ("other", "bytes", "here")))},
    ),
}


def deliver(root: Path, kind: str) -> Depot:
    """Make a depot into which a delivery has just come."""
    depot = stage_of(root, kind)
    DELIVERIES[kind].put(depot, DELIVERIES[kind].files)
    return depot


def stage_of(root: Path, kind: str) -> Depot:
    """Open the depot of a folder, with the tables that a delivery is for: where a call fails first, it is theirs."""
    return stage(root, [*DELIVERIES[kind].needs, DELIVERIES[kind].table])


def stage(root: Path, tables: Sequence[Table]) -> Depot:
    """Open the depot of a folder; one load at a time, so that calls come in the same order each time."""
    return Depot.build(root, tables, limits=builders.limits(parallel_loads=1))


def strike_in_a_process(root: Path, kind: str, at: str, fault: Fault) -> int | None:
    """Work with a fault in a process of its own; returns what it exited with, negative for a signal."""
    process = PROCESSES.Process(target=_strike, args=(root, kind, at, fault))
    process.start()
    process.join()
    return process.exitcode


def _strike(root: Path, kind: str, at: str, fault: Fault) -> None:
    strike(stage_of(root, kind), FaultPlan(at, fault, is_real=True))


def strike(depot: Depot, faults: FaultPlan, ask: Callable[[Depot], None] | None = None) -> None:
    """Work like a daemon's runs, with faults: a run that fails gives back what it holds, and the next goes on.

    First comes what a person asks for, who asks once. A kill ends it all.
    """
    with suppress(Killed), faults_at_the_database(faults):
        _work(depot, faulty(depot.platform, faults), ask)


def goes_wrong(depot: Depot, plan: FaultPlan, work: Callable[[Depot], object]) -> None:
    """Do one piece of work, of which a call goes wrong. It may be the work of a process that is killed."""
    work_with(depot, plan, work)
    assert plan.is_spent, f"{plan.at} was not reached"


def calls_of(depot: Depot, work: Callable[[Depot], object]) -> Counter[str]:
    """Do one piece of work, and count its calls."""
    plan = FaultPlan()
    work_with(depot, plan, work)
    return plan.calls


def work_with(depot: Depot, plan: FaultPlan, work: Callable[[Depot], object]) -> None:
    """Do one piece of work with faults, one load at a time, so that calls come in the same order each time."""
    limits = replace(depot.platform.limits, parallel_loads=1)
    platform = faulty(replace(depot.platform, limits=limits), plan)
    expected = Killed if plan.fault in (None, *KILLS) else RetriableError
    with suppress(expected), faults_at_the_database(plan):
        work(replace(depot, platform=platform))


def _work(depot: Depot, platform: Platform, ask: Callable[[Depot], None] | None) -> None:
    struck = replace(depot, platform=platform)
    streams = [stream for stream in StreamName if any(table.stream is stream for table in platform.tables.values())]
    if ask:
        with suppress(RetriableError):
            ask(struck)
        with suppress(RetriableError):
            release(depot.platform, ASKED)
    for number in range(2):
        runs = _Runs(struck, depot.platform, f"struck {number}")
        with suppress(RetriableError):
            for stream in streams:
                scan(platform, stream)
        for stream in streams:
            with suppress(RetriableError):
                work_off(platform, stream, ingest=runs.ingest, move=runs.move)
        runs.catalog()


@dataclass(frozen=True)
class _Runs:
    """The steps of a pass as runs: one that fails gives back what it holds, and the next goes on."""

    struck: Depot
    unharmed: Platform
    run_id: str

    def ingest(self, tables: Sequence[Table]) -> None:
        for table in tables:
            with self._run():
                ingest(self.struck.platform, table, self.struck.write_load, run_id=self.run_id)

    def move(self, stream: StreamName) -> None:
        del stream
        with self._run():
            archive(self.struck.platform, list(self.struck.platform.tables), run_id=self.run_id)

    def catalog(self) -> None:
        with self._run():
            catalog(self.struck.platform, list(self.struck.platform.tables), run_id=self.run_id)

    @contextmanager
    def _run(self) -> Generator[None]:
        try:
            yield
        except RetriableError:
            release(self.unharmed, self.run_id)


def heal(depot: Depot) -> Depot:
    """Do what new processes do once claims have expired and pauses have passed; nothing is repaired by hand."""
    for _ in range(_PASSES):
        was_settled = is_settled(depot)
        depot.clock.advance(seconds=2 * depot.platform.limits.claim_timeout_seconds)
        depot.ingest()
        depot.archive()
        depot.catalog()
        if was_settled:  # the last pass found nothing to do; whatever it did instead is seen by who looks next
            break
    return depot


def is_settled(depot: Depot) -> bool:
    """Say whether every load has ended, Incoming is empty and the catalog knows all."""
    statuses = {load.status for load in depot.loads()}
    return (
        bool(statuses)
        and statuses <= {LoadStatus.ARCHIVED, LoadStatus.ERRORED}
        and not depot.files("incoming")
        and not depot.platform.ledger.deliveries[Consumer.CATALOG].backlog()
    )


def contents(depot: Depot, kind: str) -> list[dict[str, object]]:
    """Return the rows of a delivery's table, without the ids of the loads that brought them."""
    rows = depot.rows(DELIVERIES[kind].table)
    return sorted(({name: row[name] for name in row if name != "load_id"} for row in rows), key=str)


def endings(depot: Depot) -> list[tuple[str, str, str]]:
    """Return what became of each load: file, status, code of its error."""
    loads = depot.loads()
    return [(load.version.file_name, load.status.value, load.error.code if load.error else "") for load in loads]


def kept(depot: Depot) -> dict[str, bytes]:
    """Return the originals in all zones by zone and name, the time in an Error folder left out."""
    zones = ("incoming", "archive", "error")
    return {
        f"{zone}/{key.rpartition('/')[2]}": (depot.root / zone / key).read_bytes()
        for zone in zones
        for key in depot.files(zone)
        if not key.endswith(".error.json") and not key.rpartition("/")[2].startswith(".")
    }
