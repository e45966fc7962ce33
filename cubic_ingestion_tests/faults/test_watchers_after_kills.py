"""A kill after each changing step of ``cubic ingest``: at once, and after it is healed, all watchers are right.

A kill after a step that only reads leaves what the step before it left.
"""

import os
import re
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from cubic_ingestion.bootstrap import build
from cubic_ingestion.defs import build_definitions
from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.defs.partitions import partitions_of
from cubic_ingestion.defs.shown import DagsterCheck
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import DatabaseUnavailableError
from cubic_ingestion.observability.health import health
from cubic_ingestion.observability.problems import ProblemCode, Thresholds
from cubic_ingestion.pipeline.audit import FindingCode, audit
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.faults.at_the_database import faults_at_the_database
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan, faulty
from cubic_ingestion_tests.faults.stage import PROCESSES
from cubic_ingestion_tests.homes import AT_THREE
from local_servers.environment import clean_environment

pytestmark = pytest.mark.slow

N_STEPS = 50
"""How many steps of ``cubic ingest`` change something. Tests are collected by number, since recording takes seconds."""
NAMES = ("cubic__ods_qlik__edw_sample", "cubic__dmap__agg_sample", "cubic__kafka__sample")
FILES: Mapping[str, bytes] = {
    "cubic/ods_qlik/EDW.SAMPLE/LOAD00000001.dfm": a_dfm(record_count=1, started_at="2022-03-01T00:00:00.000"),
    "cubic/ods_qlik/EDW.SAMPLE/LOAD00000001.csv.gz": csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"),
    "cubic/dmap/agg_sample/20220304.csv": b"sample_id,sample_name,sample_count\n1,a,5\n",
    "cubic/dmap/agg_sample/20220305.csv": b"sample_id,sample_name,sample_count\n1,a,bad\n",
    "cubic/dmap/agg_sample/20220306.csv": b"",
    "cubic/kafka/sample/a.json": b'{"event_id": "a"}\n',
}
ENDED = {LoadStatus.ARCHIVED, LoadStatus.ERRORED}
MOVES = {ProblemCode.WAITING_TOO_LONG, ProblemCode.CLAIM_EXPIRED}
READING = re.compile(
    r"\w+\.(list|head|open|require|write)\b.*"
    r"|database\.select .*"
    r"|dagster\.(ENGINE_EVENT|RESOURCE_\w+|LOGS_CAPTURED|STEP_OUTPUT|log)"
)
"""Steps that change nothing that anybody shows. What is new is taken for one that does."""


@dataclass(frozen=True)
class Home:
    """A home, as one process sees it."""

    platform: Platform
    tables: Mapping[str, Table]
    instance: dg.DagsterInstance

    def ingest(self) -> list[str]:
        """Do what ``cubic ingest`` does; returns the failures."""
        definitions = build_definitions(self.tables, lambda: self.platform, AT_THREE)
        return ingest_incoming(definitions, self.instance, self.platform)


@contextmanager
def entered(root: Path, faults: FaultPlan | None = None) -> Generator[Home]:
    """Be a process whose environment names a home, with faults at stores, database and Dagster's event log."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(clean_environment(), CUBIC_HOME=str(root), CUBIC_SETTLE_SECONDS="0", CUBIC_PARALLEL_LOADS="1")
    try:
        with (
            build(read_settings()) as built,
            dagster_instance(read_settings()) as instance,
            pytest.MonkeyPatch.context() as patch,
            faults_at_the_database(faults or FaultPlan()),
        ):
            platform = replace(built, tables={name: built.tables[name] for name in NAMES})
            if faults:
                platform = faulty(platform, faults)
                strike_events(faults, patch)
            yield Home(platform, platform.tables, instance)
    finally:
        os.environ.clear()
        os.environ.update(before)


def strike_events(faults: FaultPlan, patch: pytest.MonkeyPatch) -> None:
    """Put the faults around each event that Dagster stores; the step is called after the kind of event."""
    store: Callable[..., None] = SqliteEventLogStorage.store_event

    def struck(storage: SqliteEventLogStorage, event: dg.EventLogEntry) -> None:
        kind = event.dagster_event.event_type_value if event.dagster_event else "log"
        faults.around(f"dagster.{kind}", "", lambda: store(storage, event), DatabaseUnavailableError("reset"))

    patch.setattr(SqliteEventLogStorage, "store_event", struck)


def deliver(root: Path) -> None:
    for key, body in FILES.items():
        path = root / "incoming" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@lru_cache
def steps() -> tuple[str, ...]:
    """Name the steps of an undisturbed ``cubic ingest`` that change something."""
    with TemporaryDirectory() as folder:
        recorder = FaultPlan()
        deliver(Path(folder))
        with entered(Path(folder), recorder) as home:
            assert home.ingest() == []
        return tuple(step for step in recorder.calls if not READING.fullmatch(step))


def ingest_and_be_killed(root: Path, step: str) -> None:
    """Be a ``cubic ingest`` that is killed right after a step."""
    with entered(root, FaultPlan(step, Fault.KILLED_AFTER, is_real=True)) as home:
        home.ingest()


def test_the_steps_that_change_something_are_as_many_as_there_are_tests_of_a_kill() -> None:
    some = {"database.insert cubic_loads ready", "springboard.commit", "dagster.ASSET_MATERIALIZATION"}
    assert some | {"incoming.delete"} < {*steps()}
    assert len(steps()) == N_STEPS


@pytest.mark.parametrize("number", range(N_STEPS))
def test_every_watcher_is_right_after_a_kill_at_each_step_and_after_it_was_healed(tmp_path: Path, number: int) -> None:
    step = steps()[number]
    deliver(tmp_path)
    process = PROCESSES.Process(target=ingest_and_be_killed, args=(tmp_path, step))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, step
    with entered(tmp_path) as home:
        assert list(contradictions(home)) == [], f"killed after {step}"
        assert home.ingest() == []
        assert [*contradictions(home), *unfinished(home)] == [], f"healed after {step}"


def contradictions(home: Home) -> Iterator[str]:
    """Yield what a watcher says that is not so, or does not say."""
    yield from of_audit(home)
    yield from of_status(home)
    yield from of_dagster(home)


def of_audit(home: Home) -> Iterator[str]:
    """Hold the audit against a listing: it names what nobody's record knows, and nothing else."""
    done = audit(home.platform, further=[DagsterCheck(home.platform, home.instance)])
    named = {(finding.code, finding.key) for finding in done.findings}
    loads = home.platform.ledger.queries.loads(limit=100)
    registered = {load.version.key for load in loads}
    unregistered = {key for key in FILES if not key.endswith(".dfm") and key not in registered}
    expected = {(FindingCode.UNREGISTERED, key) for key in unregistered}
    recorded = {load.location for load in loads}
    springboard = home.platform.stores.springboard
    unrecorded = {v.key for page in springboard.list("cubic/") for v in page if v.key not in recorded}
    expected |= {(FindingCode.UNRECORDED_ROWS, key) for key in unrecorded}
    yield from (f"audit says {code} of {key}, which is not so" for code, key in sorted(named - expected))
    yield from (f"audit does not say {code} of {key}" for code, key in sorted(expected - named))


def of_status(home: Home) -> Iterator[str]:
    """Hold ``cubic status --check`` against the loads, as if nobody had done anything for a day."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    incoming = home.platform.stores.incoming
    observed = health(
        home.tables, home.platform.ledger.without_retries(), tomorrow, Thresholds(home.platform.limits), incoming
    )
    found = {problem.code for problem in observed.problems}
    products = home.platform.ledger.deliveries[Consumer.PRODUCTS]
    with_products = products_of(home.tables.values()).keys()
    loads = home.platform.ledger.queries.loads(limit=100)
    expected = {
        ProblemCode.NOT_SCANNED: True,
        ProblemCode.ERRORED: any(load.error and not load.location for load in loads),
        ProblemCode.UNREPORTED: bool(home.platform.ledger.deliveries[Consumer.DAGSTER].backlog()),
        ProblemCode.CATALOG_BEHIND: bool(home.platform.ledger.deliveries[Consumer.CATALOG].backlog()),
        ProblemCode.PRODUCT_BEHIND: bool(
            with_products & {behind.table for behind in products.backlog()} or products.unfollowed(with_products)
        ),
    }
    is_moving = any(load.status not in ENDED for load in loads)
    for code, is_so in expected.items():
        if (code in found) != is_so:
            yield f"status says {'nothing of ' if is_so else ''}{code}, and it is {'' if is_so else 'not '}so"
    if bool(found & MOVES) != is_moving:
        yield f"status says {sorted(found & MOVES)}, and loads are {'' if is_moving else 'not '}under way"


def of_dagster(home: Home) -> Iterator[str]:
    """Hold Dagster's pages against the loads; what is still to be reported may differ."""
    behind = {backlog.table for backlog in home.platform.ledger.deliveries[Consumer.DAGSTER].backlog()}
    loads = [load for load in home.platform.ledger.queries.loads(limit=100) if load.partition_key]
    for table in home.tables.values():
        of_table = [load for load in loads if load.table == table.name]
        expected: dict[str, str] = {str(load.partition_key): "missing" for load in of_table}
        expected |= {str(load.partition_key): "FAILED" for load in of_table if load.error}
        expected |= {str(load.partition_key): "MATERIALIZED" for load in of_table if load.location}
        shown = statuses(home.instance, table, list(expected))
        if table.name not in behind and shown != expected:
            yield f"Dagster shows {shown} of {table.name}, and it is {expected}"


def statuses(instance: dg.DagsterInstance, table: Table, partitions: list[str]) -> dict[str, str]:
    found: Mapping[str, Any] = (
        instance.get_status_by_partition(asset_key(table), partitions, partitions_of(table)) or {}
    )
    return {key: status.value if (status := found.get(key)) else "missing" for key in partitions}


def unfinished(home: Home) -> Iterator[str]:
    """Yield what is left to do."""
    loads = home.platform.ledger.queries.loads(limit=100)
    yield from (f"{load.version.key} is {load.status}" for load in loads if load.status not in ENDED)
    for consumer, deliveries in home.platform.ledger.deliveries.items():
        yield from (f"{consumer} has yet to show {behind.table}" for behind in deliveries.backlog())
    if len(loads) != len(FILES) - 1:
        yield f"{len(loads)} loads are on record"
