"""What is deleted of Dagster's past, and what must not be."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from cubic_ingestion.defs import pruning
from cubic_ingestion.defs.event_log import report_attempt
from cubic_ingestion.defs.pruning import prune, prune_runs
from cubic_ingestion.defs.translator import ATTEMPT_TAG
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import put_dmap

LATER = datetime.now(UTC) + timedelta(days=1)


@dg.asset
def rows() -> None:
    """Materialise something."""


@dg.asset(deps=[rows])
def broken() -> None:
    """Fail after something was materialised."""
    raise dg.Failure


def materialize(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition) -> str:
    return dg.materialize(assets, instance=instance, raise_on_error=False).run_id


def run_a_job(instance: dg.DagsterInstance, depot: Depot) -> str:
    done = prune_runs.execute_in_process(instance=instance, resources={"platform": depot.platform})
    assert done.success
    return done.run_id


def test_runs_without_assets_go_and_what_assets_show_stays(instance: dg.DagsterInstance, depot: Depot) -> None:
    without_assets = run_a_job(instance, depot)
    in_vain = materialize(instance, broken)
    half = materialize(instance, rows, broken)
    whole = materialize(instance, rows)
    report_attempt(instance, a_table(), ["2022-03-04"], "Load 1 was rejected.")
    [attempt] = instance.get_run_ids(dg.RunsFilter(tags={ATTEMPT_TAG: "true"}))

    assert prune(instance, LATER) == 2
    assert {run.run_id for run in instance.get_runs()} == {half, whole, attempt}
    assert instance.all_logs(without_assets) == instance.all_logs(in_vain) == []
    latest = instance.get_latest_materialization_event(rows.key)
    assert latest is not None
    assert latest.run_id == whole


def test_what_ended_lately_or_goes_on_stays(instance: dg.DagsterInstance, depot: Depot) -> None:
    run_a_job(instance, depot)
    going_on = instance.create_run_for_job(prune_runs, status=dg.DagsterRunStatus.STARTED)

    assert prune(instance, datetime.now(UTC) - timedelta(days=1)) == 0
    assert prune(instance, LATER) == 1
    assert [run.run_id for run in instance.get_runs()] == [going_on.run_id]


@pytest.mark.usefixtures("home")
def test_one_pass_is_bounded(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "MAX_DELETED", 2)
    for _ in range(3):
        materialize(instance, broken)

    assert [prune(instance, LATER), prune(instance, LATER)] == [2, 1]


def test_the_job_deletes_what_is_older_than_the_setting(
    depot: Depot, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBIC_RUN_RETENTION_DAYS", "2")
    earlier = run_a_job(instance, depot)
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        connection.execute(text("UPDATE runs SET update_timestamp = datetime('now', '-50 hours')"))
    kept = run_a_job(instance, depot)

    assert {run.run_id for run in instance.get_runs()} == {kept}
    assert earlier != kept


def test_the_ledgers_history_ages_by_the_ledgers_clock(instance: dg.DagsterInstance, depot: Depot) -> None:
    put_dmap(depot, "20220304.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    depot.clock.advance(days=read_settings().history_retention_days + 1)
    platform = replace(depot.platform, clock=depot.clock)

    assert prune_runs.execute_in_process(instance=instance, resources={"platform": platform}).success

    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM cubic_load_steps").fetchone() == (0,)
