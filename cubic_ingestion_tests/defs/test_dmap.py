"""DMAP feeds in Dagster: assets upstream of their tables, and the daily schedule."""

from collections.abc import Iterator
from datetime import time
from pathlib import Path

import dagster as dg
import pytest

from cubic_ingestion.bootstrap import SharedPlatform, build
from cubic_ingestion.defs import build_definitions
from cubic_ingestion.defs.dmap import COMPLETE, build_fetch_schedule
from cubic_ingestion.defs.translator import asset_key, feed_key
from cubic_ingestion.domain.feed import feeds_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.fake_vendor import FakeVendor, sample_feed
from cubic_ingestion.fake_vendor import misbehaviours as bad
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.defs.runs import QUIET, failures
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import AT_THREE

TABLE = "cubic__dmap__agg_daily_fareprod"
FEED = dg.AssetKey(["dmap_feed", "agg_daily_fareprod"])


@pytest.fixture
def table(depot: Depot) -> Table:
    """A table that a feed fills."""
    return depot.platform.tables[TABLE]


@pytest.fixture
def vendor(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVendor]:
    """A vendor with the sample, that the settings lead to."""
    del home
    with FakeVendor() as vendor:
        sample_feed(vendor)
        monkeypatch.setenv("CUBIC_DMAP_BASE_URL", vendor.url)
        monkeypatch.setenv("CUBIC_DMAP_PUBLIC_API_KEY", "demo-public")
        monkeypatch.setenv("CUBIC_DMAP_REQUESTS_PER_SECOND", "1000")
        yield vendor


def materialize(table: Table, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Materialise the feed of a table, as a person does."""
    with build(read_settings()) as platform:
        definitions = build_definitions({table.name: table}, lambda: platform, AT_THREE)
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            run_config=QUIET, instance=instance, asset_selection=[feed_key(table)], raise_on_error=False
        )


def test_a_feed_is_upstream_of_its_table(table: Table) -> None:
    graph = build_definitions({table.name: table}, SharedPlatform().get, AT_THREE).resolve_asset_graph()
    assert graph.get(asset_key(table)).parent_keys == {FEED}


def test_a_table_that_others_fill_has_no_feed(depot: Depot) -> None:
    sample = depot.platform.tables["cubic__dmap__agg_sample"]
    definitions = build_definitions({sample.name: sample}, SharedPlatform().get, AT_THREE)
    assert definitions.resolve_asset_graph().get(asset_key(sample)).parent_keys == set()
    assert "dmap_fetch_schedule" not in {schedule.name for schedule in definitions.schedules or ()}


def test_materialising_a_feed_fetches_what_is_new(
    depot: Depot, table: Table, vendor: FakeVendor, instance: dg.DagsterInstance
) -> None:
    result = materialize(table, instance)
    (event,) = result.asset_materializations_for_node("__".join(FEED.path))
    assert event.metadata["fetched"].value == 4
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
    assert len(depot.files("incoming")) == 4
    assert len(vendor.downloads) == 4


def test_what_is_missing_is_a_red_check_and_not_a_failed_run(
    table: Table, vendor: FakeVendor, instance: dg.DagsterInstance
) -> None:
    vendor.files.arm(bad.html(), times=None, matching="20230520")
    result = materialize(table, instance)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (COMPLETE, False)
    assert "fareprod_20230520" in str(check.metadata["missing"].value)


def test_a_key_that_is_refused_fails_and_names_the_setting(
    table: Table, vendor: FakeVendor, instance: dg.DagsterInstance
) -> None:
    vendor.api_keys["datasetpublicusersapi"] = "another"
    (why,) = failures(materialize(table, instance))
    assert "CUBIC_DMAP_PUBLIC_API_KEY" in why


def test_a_feed_without_settings_fails_with_one_clear_message(table: Table, instance: dg.DagsterInstance) -> None:
    (why,) = failures(materialize(table, instance))
    assert why.startswith("CUBIC_DMAP_BASE_URL: It is not set.")


def test_nothing_is_scheduled_into_failure(
    depot: Depot, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = build_fetch_schedule(feeds_of(depot.platform.tables.values()), time(15))
    with dg.build_schedule_context(instance=instance) as context:
        skips = [schedule.evaluate_tick(context).skip_message]
        monkeypatch.setenv("CUBIC_DMAP_BASE_URL", "https://vendor.invalid")
        skips.append(schedule.evaluate_tick(context).skip_message)
        monkeypatch.setenv("CUBIC_DMAP_CONTROLLED_API_KEY", "key")
        requests = schedule.evaluate_tick(context).run_requests or []

    assert [(skip or "").split(":")[0] for skip in skips] == ["CUBIC_DMAP_BASE_URL", "CUBIC_DMAP_PUBLIC_API_KEY"]
    assert {key.path[1] for key in requests[0].asset_selection or ()} == {
        "citation",
        "device_event",
        "sale_transaction",
        "use_transaction_location",
        "use_transaction_longitudinal",
    }
    assert [request.tags["cubic/lane"] for request in requests] == ["dmap-fetch"]


def test_the_time_of_the_schedule_is_a_setting(table: Table) -> None:
    definitions = build_definitions({table.name: table}, SharedPlatform().get, time(6, 30))
    assert definitions.resolve_schedule_def("dmap_fetch_schedule").cron_schedule == "30 6 * * *"
