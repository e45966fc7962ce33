"""Rows that were published by a try that died before it put them on record, and that no later try replaces."""

from pathlib import Path

import pytest

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import OnBadValue, StreamName, Table
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import EACH, Fault, FaultPlan
from cubic_ingestion_tests.faults.stage import PUBLISHING, goes_wrong

HEADER = b"sample_id,sample_name,sample_count\n"
OLD, NEW, DAMAGED = HEADER + b"1,old,5\n", HEADER + b"2,new,6\n3,new,7\n", b"\x1f\x8b damaged"
KEY = "cubic/dmap/agg_sample/20220304.csv"


def die_unrecorded(depot: Depot) -> None:
    """Publish what there is to publish, die before it is on record, and let the claim expire."""
    goes_wrong(depot, FaultPlan(PUBLISHING, Fault.KILLED_BEFORE), Depot.ingest)
    depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds)


def names(depot: Depot, table: Table | None = None) -> list[object]:
    """Return a column of a table, once it is sure that every other promise holds too."""
    assert list(audit(depot.platform).findings) == []
    return [row["sample_name"] for row in depot.rows(table or a_table())]


def test_rows_of_a_version_that_is_superseded_before_they_are_on_record_go(depot: Depot) -> None:
    depot.put(KEY, OLD)
    die_unrecorded(depot)
    depot.put(KEY, DAMAGED)
    depot.settle()

    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED, LoadStatus.ERRORED]
    assert names(depot) == []


def test_rows_go_also_where_a_newer_version_was_to_take_their_place_and_could_not(depot: Depot) -> None:
    depot.put(KEY, OLD)
    die_unrecorded(depot)
    depot.put(KEY, NEW)
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    depot.put(KEY, DAMAGED)
    depot.settle()

    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED] * 3
    assert names(depot) == []


@pytest.mark.parametrize("new", [NEW, HEADER], ids=["rows", "no rows"])
@pytest.mark.slow
def test_the_rows_that_they_covered_come_back(depot: Depot, new: bytes) -> None:
    depot.put(KEY, OLD)
    depot.settle()
    depot.put(KEY, new)
    die_unrecorded(depot)
    (depot.root / "incoming" / KEY).unlink()
    depot.settle()

    assert names(depot) == ["old"]


def test_rows_do_not_stay_in_a_snapshot_that_their_load_has_left(depot: Depot) -> None:
    base, changes = an_ods_table(), a_change_table()
    put_ods(depot, f"{base.prefix}LOAD00000001.csv.gz", "2022-03-01T00:00:00.000")
    depot.settle()
    put_ods(depot, f"{changes.prefix}20220304-134556444.csv.gz", "")
    die_unrecorded(depot)
    put_ods(depot, f"{base.prefix}LOAD00000001.csv.gz", "2022-03-03T00:00:00.000")
    depot.settle()

    assert names(depot, changes) == ["a"]


def test_records_in_quarantine_go_with_them(tmp_path: Path) -> None:
    depot = Depot.build(tmp_path, [a_table(on_bad_value=OnBadValue.QUARANTINE)])
    depot.put(KEY, OLD + b"2,b,many\n")
    die_unrecorded(depot)
    depot.put(KEY, DAMAGED)
    depot.settle()

    assert names(depot) == []
    assert depot.files("springboard") == []


def test_rows_go_of_a_version_that_is_overwritten_as_soon_as_they_are_published(depot: Depot) -> None:
    depot.put(KEY, OLD)
    plan = FaultPlan(PUBLISHING, Fault.OVERWRITTEN, overwrite=lambda: depot.put(KEY, DAMAGED))
    goes_wrong(depot, plan, Depot.ingest)
    depot.settle()

    assert [load.status for load in depot.loads()] == [LoadStatus.ERRORED, LoadStatus.ERRORED]
    assert names(depot) == []


@pytest.mark.parametrize("max_attempts", [1, 3])
@pytest.mark.parametrize("before", [[], [OLD]], ids=["first version", "second version"])
def test_rows_go_of_a_load_that_is_given_up_without_knowing_that_they_were_published(
    tmp_path: Path, before: list[bytes], max_attempts: int
) -> None:
    depot = Depot.build(tmp_path, [a_table()], limits=builders.limits(max_attempts=max_attempts))
    for data in before:
        depot.put(KEY, data)
        depot.settle()
    depot.put(KEY, NEW)
    for _ in range(max_attempts):
        goes_wrong(depot, FaultPlan("springboard.commit", Fault.TIMEOUT, EACH), Depot.ingest)
        depot.clock.advance(minutes=10)
    depot.settle()

    assert depot.loads()[-1].status is LoadStatus.ERRORED
    assert names(depot) == ["old" for _ in before]


def test_rows_of_the_version_before_stay_if_nothing_was_published(depot: Depot) -> None:
    depot.put(KEY, OLD)
    depot.settle()
    depot.put(KEY, NEW)
    goes_wrong(depot, FaultPlan("springboard.commit", Fault.KILLED_BEFORE), Depot.ingest)
    depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds)
    depot.put(KEY, DAMAGED)
    depot.ingest()

    assert names(depot) == ["old"]
    assert not any(load.is_replay_due for load in depot.loads())


def put_ods(depot: Depot, key: str, started_at: str) -> None:
    """Let an ODS file of one record land with its sidecar."""
    depot.put(key, csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
    depot.put(key.removesuffix(".csv.gz") + ".dfm", a_dfm(started_at=started_at))
