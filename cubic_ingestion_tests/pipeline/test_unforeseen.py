"""An exception that no code expects, a kill, a wrong setting: nothing of what is finished is lost with what is not."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cubic_ingestion.domain.load import Ingested, Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.errors import SettingsError
from cubic_ingestion.ledger.outcomes import Outcomes
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.release import release
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import a_dfm, a_table, an_ods_table, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import EACH, Fault, FaultPlan, faulty
from cubic_ingestion_tests.faults.stage import PROCESSES, PUBLISHING, goes_wrong, stage
from cubic_ingestion_tests.faults.troubled import Trouble, troubled

DMAP, BASE = a_table(), an_ods_table()
TEXT = b"sample_id,sample_name,sample_count\n1,a,5\n"
BAD = "20220303"
"""Day, or name, of the load whose work goes wrong; others come before and after it."""


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot that works on one load at a time, oldest first."""
    return Depot.build(tmp_path, [DMAP, BASE], limits=builders.limits(parallel_loads=1))


def deliver(depot: Depot, n_days: int = 5) -> None:
    """Let a DMAP file of each day land."""
    for day in range(1, n_days + 1):
        depot.put(f"{DMAP.prefix}202203{day:02}.csv", TEXT)


def missing_header() -> KeyError:
    """Return what an answer without a header makes of a lookup."""
    return KeyError("ETag: secret")


def bad_one(depot: Depot) -> Load:
    """Return the load whose work goes wrong."""
    (load,) = [load for load in depot.loads() if BAD in load.version.key]
    return load


def others(depot: Depot) -> set[LoadStatus]:
    """Return the statuses of the other loads."""
    return {load.status for load in depot.loads() if BAD not in load.version.key}


@pytest.mark.parametrize("parallel_loads", [1, 4])
def test_an_unforeseen_error_in_ingesting_gives_back_its_own_load_alone(depot: Depot, parallel_loads: int) -> None:
    depot = replace(depot, platform=replace(depot.platform, limits=builders.limits(parallel_loads=parallel_loads)))
    deliver(depot)
    with capture_logs() as lines:
        troubled(depot, "incoming", BAD, reading=missing_header).ingest()

    assert others(depot) == {LoadStatus.READY_FOR_ARCHIVING}
    load = bad_one(depot)
    assert (load.status, load.attempts, load.claimed_by) == (LoadStatus.READY, 1, None)
    assert load.waits_for is not None
    assert "KeyError at troubled.py:" in load.waits_for
    assert "secret" not in load.waits_for
    (said,) = [line for line in lines if line["event"] == "unforeseen error"]
    assert (said["log_level"], said["exc_info"]) == ("error", True)
    depot.clock.advance(minutes=11)
    depot.settle()
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    assert audit(depot.platform).findings == []


@pytest.mark.slow
def test_an_unforeseen_error_that_stays_ends_with_the_last_attempt(depot: Depot) -> None:
    deliver(depot)
    failing = troubled(depot, "incoming", BAD, reading=missing_header)
    for _ in range(2 * depot.platform.limits.max_attempts):
        failing.settle()
        depot.clock.advance(minutes=11)

    assert others(depot) == {LoadStatus.ARCHIVED}
    load = bad_one(depot)
    assert load.error is not None
    assert (load.error.code, load.attempts) == ("attempts_exhausted", depot.platform.limits.max_attempts)
    assert (load.status, load.waits_for is not None) == (LoadStatus.READY_FOR_ERRORING, True)
    depot.settle()
    assert bad_one(depot).status is LoadStatus.ERRORED
    assert audit(depot.platform).findings == []


def test_an_unforeseen_error_in_planning_delays_its_own_load_alone(depot: Depot) -> None:
    for number in range(1, 4):
        stem = f"{BASE.prefix}LOAD0000000{number}"
        depot.put(f"{stem}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
        depot.put(f"{stem}.dfm", a_dfm(started_at="2022-03-01T00:00:00.000"))
    deliver(depot)
    troubled(depot, "incoming", "LOAD00000002", reading=missing_header).settle()

    waiting = [load for load in depot.loads() if load.status is not LoadStatus.ARCHIVED]
    assert [(load.version.file_name, load.status, load.attempts) for load in waiting] == [
        ("LOAD00000002.csv.gz", LoadStatus.READY, 1)
    ]
    assert "KeyError" in (waiting[0].waits_for or "")
    depot.clock.advance(minutes=11)
    depot.settle()
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}


@pytest.mark.slow
def test_a_move_that_fails_again_and_again_is_tried_less_and_less_often(depot: Depot) -> None:
    deliver(depot)
    depot.ingest()
    failing = troubled(depot, "archive", BAD, writing=missing_header)
    pauses: list[float] = []
    for _ in range(100):
        failing.archive()
        retry_at = bad_one(depot).retry_at
        assert retry_at is not None
        pauses.append((retry_at - depot.clock.now()).total_seconds())
        depot.clock.moment = retry_at
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (30, 600)


@pytest.mark.parametrize("zone", ["incoming", "archive"])
def test_an_unforeseen_error_in_moving_leaves_its_own_original_alone(depot: Depot, zone: str) -> None:
    deliver(depot)
    depot.ingest()
    if zone == "incoming":
        failing = troubled(depot, zone, BAD, reading=missing_header)
    else:
        failing = troubled(depot, zone, BAD, writing=missing_header)
    report = archive(failing.platform, [DMAP.name], run_id="move")

    assert others(depot) == {LoadStatus.ARCHIVED}
    assert report.n_archived == 4
    assert [load.version.key for load, _ in report.released] == [bad_one(depot).version.key]
    assert bad_one(depot).status is LoadStatus.READY_FOR_ARCHIVING
    assert "KeyError" in (bad_one(depot).waits_for or "")
    depot.clock.advance(minutes=1)
    depot.settle()
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    assert bad_one(depot).waits_for is None


@pytest.mark.slow
def test_a_load_that_cannot_be_recorded_keeps_no_other_from_being_recorded(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(depot)
    complete = Outcomes.complete_ingest

    def refusing(outcomes: Outcomes, claimant: str, ingested: Sequence[Ingested]) -> Sequence[int]:
        if bad_one(depot).id in [each.load_id for each in ingested]:
            raise UnicodeError
        return complete(outcomes, claimant, ingested)

    with monkeypatch.context() as patch:
        patch.setattr(Outcomes, "complete_ingest", refusing)
        depot.ingest()
    assert others(depot) == {LoadStatus.READY_FOR_ARCHIVING}
    assert (bad_one(depot).status, bad_one(depot).attempts) == (LoadStatus.READY, 1)
    depot.clock.advance(minutes=11)
    depot.settle()
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}
    assert len(depot.rows(DMAP)) == 5
    assert audit(depot.platform).findings == []


def not_configured() -> SettingsError:
    """Return what is wrong with the settings, whatever the load."""
    return SettingsError("AWS", "It has no credentials.", "Give them.")


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, SystemExit, not_configured])
def test_what_ends_a_run_ends_it_after_recording_what_is_finished(depot: Depot, trouble: Trouble) -> None:
    deliver(depot)
    for stream in StreamName:
        register(depot.platform, stream)
        plan(depot.platform, stream)
    failing = troubled(depot, "incoming", BAD, reading=trouble)
    for number in range(2 * depot.platform.limits.max_attempts):
        with pytest.raises(type(trouble())):
            ingest(failing.platform, DMAP, failing.write_load, run_id=f"run {number}")
        release(depot.platform, f"run {number}")
        by_day = [(load.version.file_name[:8], load.status, load.attempts) for load in depot.loads()]
        assert by_day == [
            ("20220301", LoadStatus.READY_FOR_ARCHIVING, 0),
            ("20220302", LoadStatus.READY_FOR_ARCHIVING, 0),
            (BAD, LoadStatus.READY, 0),
            ("20220304", LoadStatus.READY, 0),
            ("20220305", LoadStatus.READY, 0),
        ]
    depot.settle()
    assert {load.status for load in depot.loads()} == {LoadStatus.ARCHIVED}


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, not_configured])
def test_what_ends_a_move_ends_it_after_recording_what_is_moved(depot: Depot, trouble: Trouble) -> None:
    deliver(depot)
    depot.ingest()
    failing = troubled(depot, "incoming", BAD, reading=trouble)
    with pytest.raises(type(trouble())):
        archive(failing.platform, [DMAP.name], run_id="ended")
    release(depot.platform, "ended")
    assert [load.status for load in depot.loads()] == [LoadStatus.ARCHIVED] * 2 + [LoadStatus.READY_FOR_ARCHIVING] * 3
    assert audit(depot.platform).findings == []


def test_rows_that_were_published_go_when_planning_rejects_their_load(depot: Depot) -> None:
    stem = f"{BASE.prefix}LOAD00000001"
    depot.put(f"{stem}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
    depot.put(f"{stem}.dfm", a_dfm(started_at="2022-03-01T00:00:00.000"))
    goes_wrong(depot, FaultPlan(PUBLISHING, Fault.KILLED_BEFORE), Depot.ingest)
    release(depot.platform, "test")
    assert len(depot.rows(BASE)) == 1
    depot.put(f"{stem}.csv.gz", b"other bytes, of which nobody can make anything")
    depot.put(f"{stem}.dfm", a_dfm(started_at="2022-03-01T00:00:00.000", record_count=7))
    for _ in range(3):
        depot.clock.advance(days=2)
        depot.settle()

    assert {load.status for load in depot.loads()} == {LoadStatus.ERRORED}
    assert depot.rows(BASE) == []
    assert audit(depot.platform).findings == []


def work_until_killed(root: Path, run_id: str) -> None:
    """Ingest in a process of its own, which ends right after it publishes the rows of one load."""
    depot = stage(root, [DMAP])
    plan = FaultPlan("springboard.commit", Fault.KILLED_AFTER, EACH, key=BAD, is_real=True)
    platform = faulty(replace(depot.platform, limits=builders.limits(parallel_loads=4)), plan)
    ingest(platform, DMAP, replace(depot, platform=platform).write_load, run_id=run_id)


@pytest.mark.slow
def test_a_load_that_kills_each_process_is_given_up_and_takes_no_other_with_it(tmp_path: Path) -> None:
    depot = stage(tmp_path, [DMAP])
    deliver(depot, n_days=20)
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    n_kills = 0
    for number in range(10):
        process = PROCESSES.Process(target=work_until_killed, args=(tmp_path, f"run {number}"))
        process.start()
        process.join()
        n_kills += process.exitcode == -signal.SIGKILL
        release(depot.platform, f"run {number}")
        assert max(load.attempts for load in depot.loads()) <= depot.platform.limits.max_attempts

    depot.settle()
    load = bad_one(depot)
    assert load.error is not None
    assert (load.status, load.error.code) == (LoadStatus.ERRORED, "attempts_exhausted")
    assert "The process was killed" in load.error.message
    assert (n_kills, load.attempts) == (depot.platform.limits.max_attempts, depot.platform.limits.max_attempts)
    assert others(depot) == {LoadStatus.ARCHIVED}
    assert len(depot.rows(DMAP)) == 19
    assert audit(depot.platform).findings == []
