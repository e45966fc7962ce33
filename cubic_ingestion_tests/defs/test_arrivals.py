"""Expected arrivals and freshness as Dagster shows them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import dagster as dg
import pytest

from cubic_ingestion.defs.arrivals import ARRIVALS, missing_arrivals_sensor
from cubic_ingestion.defs.assets import build_table_asset
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.defs.conftest import DMAP_TABLE
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import put_dmap

TODAY = datetime.now(UTC)
CHECKS = {"missing_day", "missing_load_file", "silent", "stale"}


def put_days(depot: Depot, *, without: int) -> None:
    """Let data of the last weeks land, but for one day; every day of the week is there several times."""
    for ago in range(26):
        if ago != without:
            put_dmap(depot, f"{TODAY - timedelta(days=ago):%Y%m%d}.csv")


def look(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    """Evaluate the sensor once."""
    platform = (definitions.resources or {})["platform"]
    context = dg.build_sensor_context(instance=instance, resources={"platform": platform}, cursor=cursor)
    return cast("dg.SensorResult", missing_arrivals_sensor(context))


def test_the_checks_are_red_for_what_did_not_come(
    definitions: dg.Definitions, instance: dg.DagsterInstance, depot: Depot
) -> None:
    put_days(depot, without=5)
    depot.settle()
    job = definitions.resolve_implicit_global_asset_job_def()

    result = job.execute_in_process(instance=instance, asset_selection=[ARRIVALS])

    passed = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert passed == {**dict.fromkeys(CHECKS, True), "missing_day": False}


@pytest.mark.slow
def test_the_sensor_reports_what_changed_and_nothing_twice(
    definitions: dg.Definitions, instance: dg.DagsterInstance, depot: Depot
) -> None:
    put_days(depot, without=5)
    depot.settle()

    first = look(definitions, instance, None)

    checks = {one.check_name: one for one in first.asset_events if isinstance(one, dg.AssetCheckEvaluation)}
    assert {name: check.passed for name, check in checks.items()} == {
        **dict.fromkeys(CHECKS, True),
        "missing_day": False,
    }
    (note,) = [one for one in first.asset_events if isinstance(one, dg.AssetObservation)]
    assert note.asset_key == asset_key(depot.platform.tables[DMAP_TABLE])
    assert json.loads(first.cursor or "")["missing_day"] == [DMAP_TABLE]
    assert list(look(definitions, instance, first.cursor).asset_events) == []

    put_dmap(depot, f"{TODAY - timedelta(days=5):%Y%m%d}.csv")
    depot.settle()
    after = look(definitions, instance, first.cursor).asset_events
    assert [(one.check_name, one.passed) for one in after if isinstance(one, dg.AssetCheckEvaluation)] == [
        ("missing_day", True)
    ]
    assert len(after) == 1


def test_a_tables_expectation_is_its_assets_freshness_policy(tables: Mapping[str, Table]) -> None:
    def policy(table: Table) -> object:
        (spec,) = build_table_asset(table).specs
        return spec.freshness_policy

    assert policy(tables[DMAP_TABLE]) is None
    assert policy(replace(a_table(), fresh_within_hours=36, warn_after_hours=30)) == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=30)
    )
    assert policy(replace(a_table(), fresh_within_hours=36)) == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36)
    )
