"""What happens when a worker dies, a store is down, or two work at once."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import duckdb
import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.claim import claim
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.release import release
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import CatalogThatIsDown, Depot
from cubic_ingestion_tests.faults.troubled import troubled

TEXT = b"sample_id,sample_name,sample_count\n1,a,5\n"
KEY = "cubic/dmap/agg_sample/20220304.csv"


@pytest.fixture
def planned(depot: Depot) -> Depot:
    """A depot in which one load waits to be claimed."""
    depot.put(KEY, TEXT)
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    return depot


def test_what_a_dead_worker_held_is_taken_up_when_its_claim_expires(planned: Depot) -> None:
    claim(planned.platform, [a_table().name], Work.INGEST, run_id="dead")
    planned.settle()
    assert planned.loads()[0].status is LoadStatus.INGESTING
    planned.clock.advance(seconds=planned.platform.limits.claim_timeout_seconds)
    planned.settle()
    assert planned.loads()[0].status is LoadStatus.ARCHIVED
    assert len(planned.rows(a_table())) == 1


def test_what_a_failed_run_held_is_given_back_at_once(planned: Depot) -> None:
    claim(planned.platform, [a_table().name], Work.INGEST, run_id="failed")
    assert release(planned.platform, "failed") == 1
    planned.settle()
    assert planned.loads()[0].status is LoadStatus.ARCHIVED


def test_a_worker_that_lost_its_claim_publishes_nothing(planned: Depot) -> None:
    held = claim(planned.platform, [a_table().name], Work.INGEST, run_id="slow")
    release(planned.platform, "slow")
    assert not held.holds(held.loads[0])
    [report] = [
        ingest(planned.platform, table, planned.write_load, run_id="quick")
        for table in planned.platform.tables.values()
        if table == a_table()
    ]
    assert len(report.ingested) == 1
    assert planned.platform.ledger.outcomes.complete_ingest(held.claimant, [report.ingested[0][1]]) == [
        held.loads[0].id
    ]


def reset() -> StoreUnavailableError:
    return StoreUnavailableError(KEY, "connection reset")


def test_a_read_that_fails_for_a_while_is_tried_again(planned: Depot) -> None:
    failing = troubled(planned, "incoming", KEY, times=2, reading=reset)
    for _ in range(3):
        failing.settle()
        failing.clock.advance(minutes=10)
    [load] = failing.loads()
    assert load.status is LoadStatus.ARCHIVED


def test_a_read_that_always_fails_ends_in_error_with_the_last_reason(planned: Depot) -> None:
    failing = troubled(planned, "incoming", KEY, times=planned.platform.limits.max_attempts, reading=reset)
    for _ in range(planned.platform.limits.max_attempts):
        failing.settle()
        failing.clock.advance(minutes=10)
    failing.settle()
    [load] = failing.loads()
    assert load.error is not None
    assert (load.status, load.error.code) == (LoadStatus.ERRORED, "attempts_exhausted")
    assert "connection reset" in load.error.message
    assert failing.files("incoming") == []


def down(depot: Depot) -> Depot:
    return replace(depot, platform=replace(depot.platform, catalog=CatalogThatIsDown()))


def catalog_due(depot: Depot) -> Sequence[str]:
    now, expires_at = depot.platform.claim_term()
    return depot.platform.ledger.deliveries[Consumer.CATALOG].due([a_table().name], now=now, expires_at=expires_at)


def test_a_catalog_that_is_down_delays_nothing(planned: Depot) -> None:
    down(planned).settle()
    assert planned.loads()[0].status is LoadStatus.ARCHIVED


def test_a_table_that_the_catalog_refused_is_put_there_later_without_another_load(planned: Depot) -> None:
    down(planned).settle()
    due_now = catalog_due(planned)
    planned.clock.advance(minutes=1)
    due_later = catalog_due(planned)
    planned.settle()
    assert (due_now, due_later) == ([], [a_table().name])
    with duckdb.connect(planned.platform.catalog.address, read_only=True) as catalog:
        assert catalog.table(a_table().name).count("*").fetchall() == [(1,)]
    assert catalog_due(planned) == []


def test_the_catalog_shows_rows_with_their_partition_as_columns(planned: Depot) -> None:
    planned.settle()
    with duckdb.connect(planned.platform.catalog.address, read_only=True) as catalog:
        rows = catalog.table(a_table().name).select("sample_id, identifier, load_id").fetchall()
    assert rows == [(1, "20220304.csv", planned.loads()[0].id)]


def test_a_listing_that_runs_out_of_time_goes_on_where_it_stopped(depot: Depot) -> None:
    for number in range(1500):
        depot.put(f"cubic/dmap/agg_sample/{number:05d}.csv", TEXT)
    first = register(depot.platform, StreamName.DMAP, timeout_seconds=0)
    assert (first.n_new, bool(first.resume_after)) == (1000, True)
    second = register(depot.platform, StreamName.DMAP, after=first.resume_after)
    assert (second.n_new, second.resume_after) == (500, "")


def test_rows_that_a_superseded_version_had_covered_stand_again(depot: Depot) -> None:
    def put(row: str) -> None:
        depot.put(KEY, f"sample_id,sample_name,sample_count\n{row}\n".encode())

    put("1,first,1")
    depot.settle()
    put("2,second,2")
    depot.ingest()
    put("3,third,bad")  # replaces the second before it is archived, and is no use itself
    depot.settle()

    first, second, third = depot.loads()
    assert (first.status, second.status, third.status) == (LoadStatus.ARCHIVED, LoadStatus.ERRORED, LoadStatus.ERRORED)
    assert [row["sample_name"] for row in depot.rows(a_table())] == ["first"]
    assert (second.location, second.n_rows) == (None, None)
    assert audit(depot.platform).findings == []


def test_a_move_that_stopped_after_the_sidecar_goes_on_in_the_same_folder(depot: Depot) -> None:
    key = "cubic/ods_qlik/EDW.SAMPLE/LOAD00000001"
    depot.put(f"{key}.dfm", a_dfm(record_count=1, started_at="2022-03-01T00:00:00.000"))
    depot.put(f"{key}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
    depot.ingest()
    # The plain place is taken for the moment: by another version, whose move is taken back.
    other = depot.root / "archive/cubic/ods_qlik/EDW.SAMPLE/snapshot=20220301T000000Z/LOAD00000001.csv.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"other bytes")
    no_room = partial(StoreUnavailableError, key, "no space left on device")
    full = troubled(depot, "archive", r"\.csv\.gz$", writing=no_room)
    archive(full.platform, [an_ods_table().name], run_id="stopped")
    assert [path.suffix for path in other.parent.rglob("version=*/*")] == [".dfm"]
    other.unlink()

    depot.clock.advance(seconds=600)
    depot.archive()

    assert depot.loads()[0].status is LoadStatus.ARCHIVED
    assert audit(depot.platform).findings == []
