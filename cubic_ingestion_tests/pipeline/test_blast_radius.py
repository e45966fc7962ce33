"""What is wrong in one place stays there: a table, a stream, a disk, a catalog; and order and number change nothing."""

import random
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.errors import CatalogUnavailableError, StoreUnavailableError
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import Registration, register
from cubic_ingestion.ports import Committed, ObjectStore, ObjectWriter
from cubic_ingestion.storage.local_files import ObjectFile
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import NOON, a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import CatalogThatIsDown, Depot
from cubic_ingestion_tests.faults.troubled import troubled

pytestmark = pytest.mark.slow

DMAP = "cubic/dmap/agg_sample/"
OTHER = a_table("cubic__dmap__other", prefix="cubic/dmap/other/", columns=(Column("sample_id", "int64"),))
TEXT = b"sample_id,sample_name,sample_count\n1,a,5\n"
N_MANY = 5_000


def deliver(depot: Depot) -> None:
    """Let one good file of each stream land, and one of another DMAP table."""
    depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
    depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.dfm", a_dfm())
    depot.put("cubic/kafka/sample/a.json", b'{"event_id": "a"}\n')
    depot.put(DMAP + "20220304.csv", TEXT)
    depot.put(OTHER.prefix + "20220304.csv", b"sample_id\n1\n")


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with tables of three streams, two of them DMAP's."""
    return Depot.build(tmp_path, [an_ods_table(), a_change_table(), a_table(), OTHER, KAFKA_TABLE])


def with_store(depot: Depot, zone: str, store: ObjectStore) -> Depot:
    """Give one zone another store."""
    return replace(depot, platform=replace(depot.platform, stores=replace(depot.platform.stores, **{zone: store})))


def by_table(depot: Depot) -> dict[str, set[LoadStatus]]:
    """Return the statuses of each table's loads."""
    found: dict[str, set[LoadStatus]] = {}
    for load in depot.loads():
        found.setdefault(load.table, set()).add(load.status)
    return found


def versions(loads: Sequence[Load]) -> list[tuple[str, str]]:
    """Return the identities of loads."""
    return sorted((load.version.key, load.version.etag) for load in loads)


def test_a_table_whose_every_file_is_bad_stops_no_other(depot: Depot) -> None:
    deliver(depot)
    (depot.root / "incoming" / DMAP / "20220304.csv").unlink()
    for day in range(10, 30):
        depot.put(f"{DMAP}202203{day}.csv", TEXT + b"2,b,many\n")
    depot.settle()
    assert by_table(depot) == {
        a_table().name: {LoadStatus.ERRORED},
        OTHER.name: {LoadStatus.ARCHIVED},
        an_ods_table().name: {LoadStatus.ARCHIVED},
        KAFKA_TABLE.name: {LoadStatus.ARCHIVED},
    }
    reasons = [load.error for load in depot.loads() if load.error]
    assert [(reason.code, reason.row, reason.column) for reason in reasons] == [("bad_value", 2, "sample_count")] * 20
    assert len([key for key in depot.files("error") if key.endswith(".error.json")]) == 20
    assert depot.files("incoming") == []


@pytest.mark.parametrize("stream", StreamName)
def test_a_stream_whose_listing_fails_says_so_and_registers_nothing(depot: Depot, stream: StreamName) -> None:
    deliver(depot)
    denied = partial(StoreUnavailableError, stream.prefix, "access denied")
    failing = troubled(depot, "incoming", f"^{stream.prefix}$", listing=denied)
    with pytest.raises(StoreUnavailableError, match=r"access denied.*tried again"):
        register(failing.platform, stream)
    assert depot.loads() == []
    for other in set(StreamName) - {stream}:
        assert register(failing.platform, other).n_new > 0
    assert {failing.platform.tables[load.table].stream for load in depot.loads()} == set(StreamName) - {stream}
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert len(depot.loads()) == 5 - 1


class FullStore(LocalObjectStore):
    """A store on a disk that takes no more bytes for some keys."""

    full_for = ""

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Let the operating system say so at the first byte."""
        with super().writer(key) as writer, ObjectFile("/dev/full", "wb", key, folder=-1) as full:
            yield _FullWriter(writer, full) if self.full_for in key else writer


@dataclass(frozen=True)
class _FullWriter:
    """A writer whose file is ``/dev/full``: every write fails with ENOSPC."""

    writer: ObjectWriter
    file: ObjectFile

    def commit(self) -> Committed:
        """Never reached by a writer that minds its errors."""
        return self.writer.commit()


@pytest.mark.parametrize("zone", ["springboard", "archive", "error"])
def test_a_full_disk_delays_what_needs_it_and_loses_nothing(depot: Depot, zone: str) -> None:
    deliver(depot)
    depot.put(DMAP + "20220305.csv", TEXT + b"2,b,many\n")
    before = depot.files("incoming")
    store = FullStore(depot.root / zone)
    store.full_for = DMAP
    failing = with_store(depot, zone, store)
    failing.ingest()
    report = archive(failing.platform, list(failing.platform.tables), run_id="full")
    others = {table for table, statuses in by_table(depot).items() if statuses == {LoadStatus.ARCHIVED}}
    assert others == {OTHER.name, an_ods_table().name, KAFKA_TABLE.name}
    assert set(depot.files("incoming")) >= {key for key in before if key.startswith(DMAP)} - {
        {"springboard": DMAP + "20220305.csv", "archive": DMAP + "20220305.csv", "error": DMAP + "20220304.csv"}[zone]
    }
    if zone != "springboard":
        [(_, why)] = report.released
        assert "No space left on device" in why
    assert [key for key in depot.files(zone) if key.startswith(DMAP) and "20220304" in key] == []
    for _ in range(3):
        depot.clock.advance(minutes=10)
        depot.settle()
    assert depot.statuses()["20220305.csv"] is LoadStatus.ERRORED
    assert depot.files("incoming") == []
    assert len(depot.rows(a_table())) == 1


def test_a_run_on_a_full_disk_names_each_load_that_it_gave_back(depot: Depot) -> None:
    deliver(depot)
    store = FullStore(depot.root / "springboard")
    store.full_for = DMAP
    reports = with_store(depot, "springboard", store).ingest()
    released = [(load.version.key, why) for report in reports for load, why in report.released]
    assert [key for key, _ in released] == [DMAP + "20220304.csv"]
    assert "No space left on device" in released[0][1]
    assert len([load for report in reports for load, _ in report.ingested]) == 3
    given_back = next(load for load in depot.loads() if load.version.key == DMAP + "20220304.csv")
    assert (given_back.status, given_back.claimed_by) == (LoadStatus.READY, None)


def test_a_catalog_that_is_down_is_named_and_gets_everything_later(depot: Depot) -> None:
    deliver(depot)
    down = replace(depot, platform=replace(depot.platform, catalog=CatalogThatIsDown()))
    down.ingest()
    report = archive(down.platform, list(down.platform.tables), run_id="down")
    assert report.n_archived == 4
    assert set(down.catalog().refused.values()) == {str(CatalogUnavailableError("any", "throttled"))}
    depot.put(DMAP + "20220305.csv", TEXT)
    depot.clock.advance(minutes=1)
    depot.settle()
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as catalog:
        found = catalog.table(a_table().name).select("identifier").order("identifier").fetchall()
    assert found == [("20220304.csv",), ("20220305.csv",)]


def scan_all(depot: Depot) -> Registration:
    return register(depot.platform, StreamName.DMAP)


def put_many(depot: Depot, n_files: int, moments: Sequence[timedelta]) -> None:
    """Let files land in a random order, each with one of the given times."""
    order = list(range(n_files))
    random.Random(20220304).shuffle(order)  # noqa: S311 - the same shuffle each time
    for number in order:
        depot.put(f"{DMAP}{number:05}.csv", TEXT, modified_at=NOON + moments[number % len(moments)])


@pytest.mark.slow
def test_five_thousand_files_of_any_time_are_each_recorded_once(depot: Depot) -> None:
    moments = [timedelta(), timedelta(), timedelta(seconds=1), timedelta(days=-900), timedelta(hours=1)]
    put_many(depot, N_MANY, moments)
    first = scan_all(depot)
    assert (first.n_seen, first.n_new) == (N_MANY, N_MANY)
    once = versions(depot.loads())
    assert len(set(once)) == N_MANY
    assert (scan_all(depot).n_new, versions(depot.loads())) == (0, once)


def test_scans_at_once_record_each_file_once(depot: Depot) -> None:
    put_many(depot, 1_500, [timedelta()])
    with ThreadPoolExecutor(4) as threads:
        registrations = list(threads.map(scan_all, [depot] * 4))
    assert sum(registration.n_new for registration in registrations) == 1_500
    assert len(set(versions(depot.loads()))) == len(depot.loads()) == 1_500


def test_a_file_that_becomes_visible_late_with_an_old_time_is_recorded(depot: Depot) -> None:
    depot.put(DMAP + "b.csv", TEXT, modified_at=NOON)
    assert scan_all(depot).n_new == 1
    depot.put(DMAP + "a.csv", TEXT, modified_at=NOON - timedelta(days=400))
    depot.put(DMAP + "c.csv", TEXT, modified_at=NOON)
    assert scan_all(depot).n_new == 2
    depot.settle()
    depot.put(DMAP + "b.csv", TEXT + b"2,b,6\n", modified_at=NOON - timedelta(hours=5))
    assert scan_all(depot).n_new == 1
    depot.settle()
    assert len(depot.rows(a_table())) == 4
    assert len([load for load in depot.loads() if load.status is LoadStatus.ARCHIVED]) == 4


def test_a_clock_that_goes_back_stops_nothing(depot: Depot) -> None:
    deliver(depot)
    depot.settle()
    depot.clock.advance(days=-30)
    depot.put(DMAP + "20220305.csv", TEXT)
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert len(depot.rows(a_table())) == 2


def test_two_workers_at_once_on_the_same_table_ingest_each_file_once(depot: Depot) -> None:
    limited = replace(depot, platform=replace(depot.platform, limits=builders.limits(max_loads_per_run=7)))
    put_many(limited, 60, [timedelta()])
    scan_all(limited)
    plan(limited.platform, StreamName.DMAP)

    def work(_: int) -> int:
        return sum(len(report.ingested) for report in limited.ingest())

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(work, range(12))) == 60
    limited.archive()
    rows = limited.rows(a_table())
    assert len(rows) == len({row["load_id"] for row in rows}) == 60
    assert set(limited.statuses().values()) == {LoadStatus.ARCHIVED}


def test_declared_tables_are_the_only_ones_that_are_touched(depot: Depot) -> None:
    strange = Table("cubic__dmap__strange", StreamName.DMAP, "cubic/dmap/strange/", is_active=False)
    tables = {**depot.platform.tables, strange.name: strange}
    watched = replace(depot, platform=replace(depot.platform, tables=tables))
    for key in (f"{strange.prefix}1.csv", "cubic/dmap/unknown/1.csv", "elsewhere/1.csv"):
        watched.put(key, TEXT)
    deliver(watched)
    watched.settle()
    assert watched.files("incoming") == ["cubic/dmap/strange/1.csv", "cubic/dmap/unknown/1.csv", "elsewhere/1.csv"]
