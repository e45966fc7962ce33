"""``cubic ingest`` is killed while it writes Dagster's events, and the next one makes up for it."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import depot_of, put_dmap, put_kafka

N_FILES = 40
N_REPORTED = 3
KILLED = f"""
import os, signal, sys
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from cubic_ingestion.cli import main

store, reported = SqliteEventLogStorage.store_event, []

def store_and_be_killed(storage, event):
    store(storage, event)
    happened = event.dagster_event
    if happened and happened.event_type_value == "ASSET_MATERIALIZATION" and "kafka" in happened.asset_key.to_string():
        reported.append(event)
    if len(reported) == {N_REPORTED}:
        os.kill(os.getpid(), signal.SIGKILL)

SqliteEventLogStorage.store_event = store_and_be_killed
sys.argv = ["cubic", "ingest"]
main()
"""
"""``cubic ingest``, killed right after it reported some of the Kafka table's partitions."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_partitions_of_an_ingest_that_was_killed_while_it_reported_them_are_all_shown_by_the_next(
    cubic: Cubic, home: Path
) -> None:
    depot = depot_of(home)
    for number in range(N_FILES):
        put_kafka(depot, f"batch{number:03}.json", str(number))
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv", "1,a,many\n")

    killed = subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert n_materializations(home / "dagster") == N_REPORTED
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


def n_materializations(state: Path) -> int:
    """Count the events of the Kafka table in Dagster's index."""
    with closing(sqlite3.connect(state / "history" / "runs" / "index.db")) as connection:
        query = (
            "SELECT count(*) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' "
            "AND asset_key LIKE '%kafka%'"
        )
        return connection.execute(query).fetchone()[0]
