"""Those entries of ``docs/pitfalls.md`` that need something to go wrong, each with a test named after it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.register import register
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan, faulty
from cubic_ingestion_tests.faults.stage import PUBLISHING, goes_wrong

pytestmark = pytest.mark.slow

DMAP, BASE, CHANGES = a_table(), an_ods_table(), a_change_table()
HEADER = "sample_id,sample_name,sample_count\n"
CHANGE = f"{CHANGES.prefix}20220304-101500123"
MARCH = "2022-03-01T00:00:00.000"


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot that works on one load at a time."""
    return Depot.build(tmp_path, [DMAP, BASE, CHANGES], limits=builders.limits(parallel_loads=1))


def put_ods(depot: Depot, stem: str, started_at: str = MARCH) -> None:
    depot.put(f"{stem}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
    depot.put(f"{stem}.dfm", a_dfm(started_at=started_at))


def put_dmap(depot: Depot, day: int, count: str = "5") -> None:
    depot.put(f"{DMAP.prefix}202203{day:02}.csv", f"{HEADER}1,a,{count}\n".encode())


def healed(depot: Depot) -> None:
    """Let claims expire, and do what is left."""
    for _ in range(3):
        depot.clock.advance(seconds=2 * depot.platform.limits.claim_timeout_seconds)
        depot.ingest()
        depot.archive()
        depot.catalog()
    assert audit(depot.platform).findings == []


def test_o4_of_ten_files_one_of_them_bad_nine_are_archived(depot: Depot) -> None:
    for day in range(1, 11):
        put_dmap(depot, day, "bad" if day == 7 else "5")
    depot.settle()

    (errored,) = [load for load in depot.loads() if load.status is not LoadStatus.ARCHIVED]
    assert errored.error is not None
    assert (errored.status, errored.error.row, errored.error.column) == (LoadStatus.ERRORED, 1, "sample_count")
    assert len(depot.rows(DMAP)) == 9
    assert not any("20220307" in key for key in depot.files("springboard"))


@pytest.mark.parametrize("at", ["archive.commit", "archive.commit .dfm", "incoming.delete", "incoming.delete .dfm"])
@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.TIMEOUT])
def test_o6_a_move_that_broke_off_is_finished_and_the_pair_is_complete(depot: Depot, at: str, fault: Fault) -> None:
    put_ods(depot, f"{BASE.prefix}LOAD1")
    depot.ingest()
    goes_wrong(depot, FaultPlan(at, fault), Depot.archive)
    healed(depot)

    assert [key.rpartition("/")[2] for key in depot.files("archive")] == ["LOAD1.csv.gz", "LOAD1.dfm"]
    assert depot.files("incoming") == []


def test_o12_a_table_that_fails_delays_no_other(depot: Depot) -> None:
    put_dmap(depot, 4)
    put_ods(depot, f"{BASE.prefix}LOAD1")
    goes_wrong(depot, FaultPlan("springboard.write", Fault.ERROR), Depot.ingest)

    assert sorted(depot.statuses().values()) == [LoadStatus.READY, LoadStatus.READY_FOR_ARCHIVING]


def test_o13_work_of_a_process_that_died_is_resumed(depot: Depot) -> None:
    put_dmap(depot, 4)
    goes_wrong(depot, FaultPlan("database.update cubic_loads ingesting", Fault.TIMEOUT), Depot.ingest)
    assert depot.statuses() == {"20220304.csv": LoadStatus.INGESTING}
    healed(depot)

    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED}


def test_o14_two_instances_at_once_record_a_file_once(depot: Depot) -> None:
    for day in range(1, 31):
        put_dmap(depot, day)
    with ThreadPoolExecutor(4) as instances:
        n_new = [*instances.map(lambda _: register(depot.platform, StreamName.DMAP).n_new, range(4))]

    assert sum(n_new) == len(depot.loads()) == 30


def test_o16_a_sidecar_that_is_ten_minutes_late_is_waited_for(depot: Depot) -> None:
    put_ods(depot, f"{BASE.prefix}LOAD1")
    (depot.root / "incoming" / BASE.prefix / "LOAD1.dfm").unlink()
    depot.settle()
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.READY}
    depot.put(f"{BASE.prefix}LOAD1.dfm", a_dfm(started_at=MARCH))
    depot.clock.advance(minutes=10)
    depot.settle()

    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.ARCHIVED}


def test_d1_a_failed_listing_raises_and_writes_nothing(depot: Depot) -> None:
    put_dmap(depot, 4)
    plan = FaultPlan("incoming.list", Fault.ERROR)

    with pytest.raises(StoreUnavailableError):
        register(faulty(depot.platform, plan), StreamName.DMAP)
    assert depot.loads() == []


@pytest.mark.parametrize("at", ["archive.write", "archive.commit"])
def test_d2_the_source_of_a_failed_upload_stays(depot: Depot, at: str) -> None:
    put_dmap(depot, 4)
    depot.ingest()
    goes_wrong(depot, FaultPlan(at, Fault.ERROR), Depot.archive)

    assert depot.files("incoming") == [f"{DMAP.prefix}20220304.csv"]


@pytest.mark.parametrize("at", ["springboard.commit", PUBLISHING])
def test_d3_rows_that_were_written_before_a_crash_are_not_there_twice(depot: Depot, at: str) -> None:
    put_dmap(depot, 4)
    goes_wrong(depot, FaultPlan(at, Fault.TIMEOUT), Depot.ingest)
    healed(depot)

    assert len(depot.rows(DMAP)) == 1


def test_d4_changes_archived_a_minute_before_their_full_load_go_to_its_snapshot(depot: Depot) -> None:
    put_ods(depot, f"{BASE.prefix}LOAD1", "2022-01-01T00:00:00.000")
    put_ods(depot, CHANGE)
    depot.settle()
    depot.clock.advance(minutes=1)
    put_ods(depot, f"{BASE.prefix}LOAD1", MARCH)
    healed(depot)

    (change,) = [load for load in depot.loads() if load.table == CHANGES.name]
    assert f"{change.snapshot:%Y-%m-%d}" == "2022-03-01"
    assert len(depot.rows(CHANGES)) == 1


def test_d11_a_reader_of_the_old_rows_reads_on_while_they_are_replaced(depot: Depot) -> None:
    put_dmap(depot, 4)
    depot.settle()
    (key,) = depot.files("springboard")
    with depot.platform.stores.springboard.open(key) as old:
        before = old.read(4)
        put_dmap(depot, 4, "6")
        depot.settle()
        assert before + old.read() != (depot.root / "springboard" / key).read_bytes()
        assert before == b"PAR1"

    assert [row["sample_count"] for row in depot.rows(DMAP)] == [6]


def test_d14_what_fails_again_and_again_ends_with_its_reason(depot: Depot) -> None:
    put_dmap(depot, 4)
    for _ in range(depot.platform.limits.max_attempts):
        depot.clock.advance(hours=1)
        goes_wrong(depot, FaultPlan("incoming.open", Fault.ERROR), Depot.ingest)
    (load,) = depot.loads()

    assert load.error is not None
    assert (load.status, load.error.code) == (LoadStatus.READY_FOR_ERRORING, "attempts_exhausted")
