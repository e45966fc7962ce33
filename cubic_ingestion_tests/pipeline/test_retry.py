"""Errored loads are tried again from Error, sidecars change at any moment, and moves stop anywhere."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import Column, StreamName
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan, kills
from cubic_ingestion_tests.faults.stage import calls_of, goes_wrong

if TYPE_CHECKING:
    from cubic_ingestion.ledger.ledger import Ledger

pytestmark = pytest.mark.slow

CSV, DFM = "cubic/ods_qlik/EDW.SAMPLE/LOAD1.csv.gz", "cubic/ods_qlik/EDW.SAMPLE/LOAD1.dfm"
DAY = "cubic/dmap/agg_sample/20220304.csv"
BATCH = "cubic/kafka/sample/id.json"
MARCH = "2022-03-01T00:00:00.000"
ROWS = csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a")


CHANGES = ("archive.commit", "error.commit", "incoming.delete", "error.delete")
CHANGES_OF_A_RETRY = {
    "archive.commit": 3,
    "archive.commit .dfm": 1,
    "error.delete": 3,
    "error.delete .dfm": 1,
    "error.delete .error.json": 3,
}
CHANGES_OF_A_FIRST_MOVE = {
    "archive.commit": 1,
    "archive.commit .dfm": 1,
    "error.commit": 1,
    "error.commit .error.json": 1,
    "incoming.delete": 2,
    "incoming.delete .dfm": 1,
}
"""How often a move makes each call that changes a store."""


def changes(depot: Depot) -> dict[str, int]:
    """Move all originals, and count the calls that change a store."""
    return {call: n for call, n in calls_of(depot, Depot.archive).items() if call.partition(" ")[0] in CHANGES}


def with_text_counts(depot: Depot) -> Depot:
    """Mend the declarations: what is no number before is text now."""
    columns = (Column("sample_id", "int64"), Column("sample_name", "string"), Column("sample_count", "string"))
    mended = [a_table(columns=columns), an_ods_table(), a_change_table(), replace(KAFKA_TABLE, columns=())]
    return Depot(depot.root, replace(depot.platform, tables={table.name: table for table in mended}), depot.clock)


def retried(depot: Depot, *loads: Load) -> None:
    report = retry(depot.platform, loads or depot.loads())
    assert report.refused == []


def registered(depot: Depot) -> None:
    register(depot.platform, StreamName.ODS)
    plan(depot.platform, StreamName.ODS)


def later(depot: Depot) -> None:
    depot.clock.advance(hours=1)
    depot.settle()


@pytest.fixture
def errored(depot: Depot) -> Depot:
    """A depot with one errored load of each stream, for a sidecar and two declarations that are wrong."""
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(record_count=2, started_at=MARCH))
    depot.put(DAY, b"sample_id,sample_name,sample_count\n1,a,many\n")
    depot.put(BATCH, b'{"event_id": "e", "amount": "much"}\n')
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ERRORED}
    return depot


def mend_sidecar(depot: Depot) -> None:
    (sidecar,) = (depot.root / "error").rglob("LOAD1.dfm")
    sidecar.write_bytes(a_dfm(started_at=MARCH))


def test_loads_of_every_stream_are_archived_from_error_once_the_cause_is_mended(errored: Depot) -> None:
    mend_sidecar(errored)
    mended = with_text_counts(errored)
    retried(mended)
    mended.settle()
    assert set(mended.statuses().values()) == {LoadStatus.ARCHIVED}
    assert (mended.files("incoming"), mended.files("error"), len(mended.loads())) == ([], [], 3)
    assert mended.files("archive") == [
        DAY,
        BATCH,
        *(key.replace("EDW.SAMPLE/", "EDW.SAMPLE/snapshot=20220301T000000Z/") for key in (CSV, DFM)),
    ]
    assert [load.error_key for load in mended.loads()] == [None, None, None]
    assert [row["sample_count"] for row in mended.rows(a_table())] == ["many"]
    assert len(mended.rows(an_ods_table())) == 1


def test_what_is_rejected_again_stays_where_it_is_with_a_new_reason(errored: Depot) -> None:
    before, files, store = errored.loads(), errored.files("error"), errored.platform.stores.error
    originals = [store.head(key) for key in files if not key.endswith(".error.json")]
    (reason,) = (errored.root / "error").rglob("20220304.csv.error.json")
    reason.write_text("an old reason")
    retried(errored)
    errored.settle()
    assert errored.files("error") == files
    assert [store.head(key) for key in files if not key.endswith(".error.json")] == originals
    assert [load.error_key for load in errored.loads()] == [load.error_key for load in before]
    assert [load.error for load in errored.loads()] == [load.error for load in before]
    assert '"bad_value"' in reason.read_text()
    assert errored.files("incoming") == []


def test_each_change_of_a_retry_has_its_cells(errored: Depot) -> None:
    mend_sidecar(errored)
    mended = with_text_counts(errored)
    retried(mended)
    mended.ingest()
    assert changes(mended) == CHANGES_OF_A_RETRY


@pytest.mark.parametrize(("call", "number", "fault"), kills(CHANGES_OF_A_RETRY))
def test_a_move_to_archive_stopped_at_any_change_is_finished_by_the_next(
    errored: Depot, call: str, number: int, fault: Fault
) -> None:
    mend_sidecar(errored)
    mended = with_text_counts(errored)
    retried(mended)
    mended.ingest()
    goes_wrong(mended, FaultPlan(call, fault, (number,)), Depot.archive)
    later(mended)
    assert set(mended.statuses().values()) == {LoadStatus.ARCHIVED}
    assert (mended.files("error"), mended.files("incoming"), len(mended.files("archive"))) == ([], [], 4)
    assert (mended.root / "archive" / DAY).read_bytes().endswith(b"1,a,many\n")


@pytest.fixture
def first(depot: Depot) -> Depot:
    """A depot in which a good load and a bad one wait for their first move."""
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.put(DAY, b"sample_id,sample_name,sample_count\n1,a,many\n")
    depot.ingest()
    return depot


def test_each_change_of_a_first_move_has_its_cells(first: Depot) -> None:
    assert changes(first) == CHANGES_OF_A_FIRST_MOVE


@pytest.mark.parametrize(("call", "number", "fault"), kills(CHANGES_OF_A_FIRST_MOVE))
def test_a_first_move_stopped_at_any_change_is_finished_by_the_next(
    first: Depot, call: str, number: int, fault: Fault
) -> None:
    depot = first
    goes_wrong(depot, FaultPlan(call, fault, (number,)), Depot.archive)
    later(depot)
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.ARCHIVED, "20220304.csv": LoadStatus.ERRORED}
    assert (depot.files("incoming"), len(depot.files("archive")), len(depot.files("error"))) == ([], 2, 2)


def test_deadlines_count_from_the_retry_and_a_late_sidecar_is_taken_from_incoming(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [an_ods_table()], limits=builders.limits(sidecar_wait_seconds=3600))
    depot.put(CSV, ROWS)
    depot.settle()
    depot.clock.advance(hours=2)
    depot.settle()
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.ERRORED}
    retried(depot)
    depot.settle()
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.READY}
    depot.clock.advance(minutes=59)
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.settle()
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.ARCHIVED}
    assert (depot.files("incoming"), depot.files("error"), len(depot.files("archive"))) == ([], [], 2)


def test_a_sidecar_beside_another_version_in_incoming_is_that_ones(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [an_ods_table()], limits=builders.limits(sidecar_wait_seconds=3600))
    depot.put(CSV, ROWS)
    depot.settle()
    depot.clock.advance(hours=2)
    depot.settle()
    (old,) = depot.loads()
    depot.put(CSV, csv_gz("SAMPLE_ID,SAMPLE_NAME\n2,b"))
    depot.put(DFM, a_dfm(started_at=MARCH))
    retried(depot, old)
    depot.settle()
    assert [load.status for load in depot.loads()] == [LoadStatus.READY, LoadStatus.ARCHIVED]
    assert [row["sample_id"] for row in depot.rows(an_ods_table())] == [2]


def test_a_newer_version_keeps_its_place_in_springboard(errored: Depot) -> None:
    (old,) = [load for load in errored.loads() if load.version.key == DAY]
    errored.put(DAY, b"sample_id,sample_name,sample_count\n1,new,5\n")
    errored.settle()
    mended = with_text_counts(errored)
    retried(mended, old)
    mended.settle()
    assert [row["sample_name"] for row in mended.rows(a_table())] == ["new"]
    assert [key for key in mended.files("archive") if "dmap" in key] == [
        DAY,
        f"cubic/dmap/agg_sample/version={old.id}/20220304.csv",
    ]
    assert {load.status for load in mended.loads() if load.version.key == DAY} == {LoadStatus.ARCHIVED}


def test_a_superseded_load_and_one_that_is_not_errored_are_refused_with_the_reason(depot: Depot) -> None:
    depot.put(DAY, b"sample_id\n1\n")
    register(depot.platform, StreamName.DMAP)
    depot.put(DAY, b"sample_id\n2\n2\n")
    depot.settle()
    report = retry(depot.platform, depot.loads())
    assert report.retried == []
    assert [reason for _, reason in report.refused] == [
        "has no original in Error: other bytes took its place, and are a load of their own",
        "is 'archived', not errored",
    ]


def test_a_load_that_somebody_else_brought_back_meanwhile_is_named(errored: Depot) -> None:
    stale: list[Load] = errored.loads()
    ledger: Ledger = errored.platform.ledger
    ledger.outcomes.retry([stale[0].id])
    report = retry(errored.platform, stale)
    assert [reason for _, reason in report.refused] == ["was changed by somebody else meanwhile"]
    assert len(report.retried) == 2


def test_a_sidecar_that_changes_between_planning_and_reading_is_planned_again(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(record_count=2, started_at="2022-02-01T00:00:00.000"))
    registered(depot)
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.settle()
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.READY}
    later(depot)
    (load,) = depot.loads()
    assert (load.status, load.partition_key) == (LoadStatus.ARCHIVED, "20220301T000000Z")
    assert depot.files("incoming") == []


def test_a_sidecar_that_goes_between_planning_and_reading_is_waited_for(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    sidecar = depot.put(DFM, a_dfm(started_at=MARCH))
    registered(depot)
    sidecar.unlink()
    depot.settle()
    later(depot)
    (load,) = depot.loads()
    assert (load.status, load.waits_for) == (LoadStatus.READY, "waits for its .dfm sidecar")


def test_a_file_whose_sidecar_was_replaced_after_reading_goes_to_error_and_comes_back(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(started_at="2022-02-01T00:00:00.000"))
    depot.ingest()
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.archive()
    (load,) = depot.loads()
    assert load.error is not None
    assert (load.status, load.error.code) == (LoadStatus.ERRORED, "sidecar_changed")
    assert (depot.files("incoming"), depot.files("archive"), depot.rows(an_ods_table())) == ([DFM], [], [])
    retried(depot)
    depot.settle()
    assert len(depot.rows(an_ods_table())) == 1
    assert (depot.files("incoming"), depot.files("error"), len(depot.files("archive"))) == ([], [], 2)


def test_a_new_file_and_sidecar_that_come_before_archiving_supersede_the_old_and_stay_a_pair(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.ingest()
    depot.put(DFM, a_dfm(started_at="2022-05-01T00:00:00.000", record_count=2))
    depot.put(CSV, csv_gz("SAMPLE_ID,SAMPLE_NAME\n2,b\n3,c"))
    depot.settle()
    old, new = depot.loads()
    assert old.error is not None
    assert (old.error.code, new.status) == ("superseded", LoadStatus.ARCHIVED)
    assert [row["sample_id"] for row in depot.rows(an_ods_table())] == [2, 3]
    assert len(depot.files("archive")) == 2


def test_a_sidecar_that_comes_while_the_old_one_is_being_archived_stays_for_its_own_file(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.ingest()
    goes_wrong(depot, FaultPlan("incoming.delete", Fault.KILLED_BEFORE), Depot.archive)
    depot.put(DFM, a_dfm(started_at="2022-05-01T00:00:00.000"))
    later(depot)
    assert depot.statuses() == {"LOAD1.csv.gz": LoadStatus.ARCHIVED}
    assert depot.files("incoming") == [DFM]
    (archived,) = (depot.root / "archive").rglob("*.dfm")
    assert archived.read_bytes() == a_dfm(started_at=MARCH)


def test_a_new_file_beside_a_stale_sidecar_is_never_let_through_with_a_count_that_is_not_its_own(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(started_at=MARCH))
    registered(depot)
    depot.put(CSV, csv_gz("SAMPLE_ID,SAMPLE_NAME\n2,b\n3,c"))
    depot.settle()
    depot.clock.advance(seconds=depot.platform.limits.sidecar_wait_seconds)
    depot.settle()
    codes = [load.error.code for load in depot.loads() if load.error]
    assert codes == ["superseded", "record_count_mismatch"]
    assert depot.rows(an_ods_table()) == []


def test_a_file_replaced_before_it_was_archived_leaves_no_sidecar_in_archive(depot: Depot) -> None:
    depot.put(CSV, ROWS)
    depot.put(DFM, a_dfm(started_at=MARCH))
    depot.ingest()
    depot.put(CSV, csv_gz("SAMPLE_ID,SAMPLE_NAME\n2,b\n3,c"))
    depot.archive()
    assert (depot.files("archive"), depot.files("incoming")) == ([], [CSV, DFM])
