"""What may not be read: one sidecar, one file, one folder. It concerns that load or that folder, and nothing else."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.observability.health import health
from cubic_ingestion.observability.problems import ProblemCode, Thresholds
from cubic_ingestion.pipeline.audit import FindingCode, audit
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion_tests.builders import a_change_table, a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.databases import POSTGRES_LIMITS
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.permissions import without_permission

BASE, CHANGES, DMAP = an_ods_table(), a_change_table(), a_table()
OTHER = an_ods_table(name="cubic__ods_qlik__edw_other", prefix="cubic/ods_qlik/EDW.OTHER/")


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with two ODS entries, and a table of each other stream."""
    return Depot.build(tmp_path, [OTHER, BASE, CHANGES, DMAP, KAFKA_TABLE])


def put_ods(depot: Depot, stem: str) -> Path:
    """Let a file and its sidecar land; returns the path of the sidecar."""
    depot.put(f"{stem}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
    return depot.put(f"{stem}.dfm", a_dfm(started_at="2022-03-01T00:00:00.000"))


def deliver(depot: Depot) -> Path:
    """Let one file of each table land, and one more; returns the path of that one's sidecar."""
    for table in (OTHER, BASE):
        put_ods(depot, f"{table.prefix}LOAD00000001")
    put_ods(depot, f"{CHANGES.prefix}20220304-101500123")
    depot.put(f"{DMAP.prefix}20220304.csv", b"sample_id,sample_name,sample_count\n1,a,5\n")
    depot.put(f"{KAFKA_TABLE.prefix}a.json", b'{"event_id": "a"}\n')
    return put_ods(depot, f"{BASE.prefix}LOAD00000002")


def left(depot: Depot) -> Load:
    """Return the one load that is not archived."""
    (load,) = [load for load in depot.loads() if load.status is not LoadStatus.ARCHIVED]
    assert len(depot.loads()) == 6
    return load


def tried_until_it_ends(depot: Depot) -> None:
    for _ in range(2 * depot.platform.limits.max_attempts):
        depot.settle()
        depot.clock.advance(minutes=11)


def test_a_sidecar_that_may_not_be_read_delays_its_own_load_alone(depot: Depot) -> None:
    with without_permission(deliver(depot)):
        depot.settle()
        load = left(depot)
        assert (load.status, load.version.file_name) == (LoadStatus.READY, "LOAD00000002.csv.gz")
        assert load.waits_for is not None
        assert "LOAD00000002.dfm' could not be reached (Permission denied)" in load.waits_for
        assert load.attempts == 1
        assert load.retry_at is not None
        assert depot.clock.now() < load.retry_at
    depot.clock.advance(minutes=11)
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert audit(depot.platform).findings == []


@pytest.mark.slow
def test_a_sidecar_that_can_never_be_read_ends_in_error_after_its_attempts(depot: Depot) -> None:
    with without_permission(deliver(depot)):
        tried_until_it_ends(depot)
        load = left(depot)
        assert load.error is not None
        assert (load.status, load.error.code) == (LoadStatus.ERRORED, "attempts_exhausted")
        assert "Permission denied" in load.error.message
        assert load.attempts == depot.platform.limits.max_attempts
        assert audit(depot.platform).findings == []

    retry(depot.platform, [load])
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}
    assert depot.files("incoming") == []
    assert audit(depot.platform).findings == []


@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_given_up_and_waits_for_its_move(depot: Depot) -> None:
    deliver(depot)
    file = depot.root / "incoming" / BASE.prefix / "LOAD00000002.csv.gz"
    with without_permission(file):
        tried_until_it_ends(depot)
        load = left(depot)
        assert load.error is not None
        assert (load.status, load.error.code) == (LoadStatus.READY_FOR_ERRORING, "attempts_exhausted")
        assert load.attempts == depot.platform.limits.max_attempts
        assert load.waits_for is not None
        assert "Permission denied" in load.waits_for
    depot.settle()
    assert left(depot).status is LoadStatus.ERRORED
    assert left(depot).waits_for is None


@pytest.mark.parametrize("table", [BASE, CHANGES, DMAP, KAFKA_TABLE])
def test_a_folder_that_cannot_be_listed_is_named_and_the_others_are_scanned(depot: Depot, table: Table) -> None:
    deliver(depot)
    with without_permission(depot.root / "incoming" / table.prefix), capture_logs() as lines:
        registrations = {stream: register(depot.platform, stream) for stream in StreamName}
        assert {load.table for load in depot.loads()} == depot.platform.tables.keys() - {table.name}
    for stream, registration in registrations.items():
        assert registration.unlisted == ({table.prefix: "Permission denied"} if stream is table.stream else {})
    (said,) = [line for line in lines if "folder" in line]
    assert (said["log_level"], said["folder"], said["reason"]) == ("warning", table.prefix, "Permission denied")
    depot.settle()
    assert set(depot.statuses().values()) == {LoadStatus.ARCHIVED}


def test_a_file_whose_folder_may_be_listed_but_not_entered_stops_no_other(depot: Depot) -> None:
    deliver(depot)
    folder = depot.root / "incoming" / BASE.prefix
    with without_permission(folder):
        folder.chmod(0o444)
        assert register(depot.platform, StreamName.ODS).unlisted == {BASE.prefix: "Permission denied"}
        assert {load.table for load in depot.loads()} == {OTHER.name, CHANGES.name}


@pytest.mark.slow
def test_an_audit_names_a_folder_that_it_cannot_list_and_goes_on(depot: Depot) -> None:
    deliver(depot)
    depot.settle()
    with without_permission(depot.root / "archive" / DMAP.prefix):
        found = audit(depot.platform).findings
    named = [finding for finding in found if finding.code is FindingCode.NOT_LISTED]
    assert [(finding.zone, finding.key) for finding in named] == [("archive", DMAP.prefix)]
    assert "Permission denied" in named[0].problem


def test_a_folder_of_incoming_that_cannot_be_listed_is_a_problem(depot: Depot) -> None:
    deliver(depot)
    ledger = Ledger(make_engine(f"sqlite:///{depot.root / 'metadata.sqlite'}", POSTGRES_LIMITS))
    with without_permission(depot.root / "incoming" / BASE.prefix):
        register(depot.platform, StreamName.ODS)
    now = depot.clock.now()

    (found,) = health(depot.platform.tables, ledger, now, Thresholds(depot.platform.limits)).problems

    assert found.code is ProblemCode.NOT_SCANNED
    assert BASE.prefix in found.message
    register(depot.platform, StreamName.ODS)
    assert health(depot.platform.tables, ledger, now, Thresholds(depot.platform.limits)).is_healthy
