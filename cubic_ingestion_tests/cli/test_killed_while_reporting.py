"""``cubic ingest`` is killed while it writes Dagster's events, and the next one makes up for it."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import depot_of, put_dmap, put_kafka

CUBIC = str(Path(sys.executable).with_name("cubic"))
N_FILES = 40
START_SECONDS = 200


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_partitions_of_an_ingest_that_was_killed_while_it_reported_them_are_all_shown_by_the_next(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = depot_of(home)
    for number in range(N_FILES):
        put_kafka(depot, f"batch{number:03}.json", str(number))
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv", "1,a,many\n")

    with subprocess.Popen([CUBIC, "ingest"]) as process:
        wait_until_reporting(home / "dagster", process)
        process.send_signal(signal.SIGKILL)
    n_before = n_materializations(home / "dagster")
    assert 0 < n_before < N_FILES
    monkeypatch.setenv("CUBIC_SETTLE_SECONDS", "0")
    cubic("ingest")

    tables = depot.platform.tables
    with dagster_instance(read_settings()) as instance:
        kafka = instance.get_materialized_partitions(asset_key(tables["cubic__kafka__sample"]))
        dmap = instance.get_materialized_partitions(asset_key(tables["cubic__dmap__agg_sample"]))
    assert kafka == {f"batch{number:03}" for number in range(N_FILES)}
    assert dmap == {"2022-03-04"}
    assert cubic("audit").exit_code == 0
    problems = cubic("status", "--check", "--ignore", "not_scanned", "--json").json["problems"]
    assert [problem["code"] for problem in problems] == ["errored"]


def wait_until_reporting(state: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until some of the Kafka table's partitions have been reported, and not all."""
    ends_at = time.monotonic() + START_SECONDS
    while n_materializations(state) < 3:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < ends_at, "it reported nothing"
        time.sleep(0.01)


def n_materializations(state: Path) -> int:
    """Count the events of the Kafka table in Dagster's index, which is there once the instance has been opened."""
    found = next(state.glob("history/runs/index.db"), None)
    if found is None:
        return 0
    try:
        with closing(sqlite3.connect(f"file:{found}?mode=ro", uri=True)) as connection:
            query = (
                "SELECT count(*) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' "
                "AND asset_key LIKE '%kafka%'"
            )
            return connection.execute(query).fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # it is being made
