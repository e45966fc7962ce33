"""The job that cleans the warehouse: what it removes, and that it runs every hour."""

from dataclasses import replace

import dagster as dg

from cubic_ingestion.defs.cleaning import clean_warehouse
from cubic_ingestion.defs.headless import clean_if_due
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import put_kafka


def test_files_that_no_snapshot_needs_go_after_the_grace_period(instance: dg.DagsterInstance, depot: Depot) -> None:
    platform = replace(depot.platform, clock=depot.clock)

    def clean() -> set[str]:
        assert clean_warehouse.execute_in_process(instance=instance, resources={"platform": platform}).success
        return {key for key in depot.files("warehouse") if not key.endswith("/unneeded.json")}

    put_kafka(depot, "a.json")
    depot.settle()
    assert update_products(depot.platform, run_id="test").refused == {}
    before, needed = set(depot.files("warehouse")), set(depot.platform.warehouse.kept_keys())
    assert before > needed

    assert clean() == before
    depot.clock.advance(hours=23)
    assert clean() == before
    depot.clock.advance(hours=1)
    assert clean() == needed


def test_an_ingest_cleans_what_nobody_cleaned_for_an_hour(
    instance: dg.DagsterInstance, definitions: dg.Definitions, depot: Depot
) -> None:
    platform = replace(depot.platform, clock=depot.clock)

    def n_runs() -> int:
        assert clean_if_due(definitions, instance, platform) == []
        return instance.get_runs_count(dg.RunsFilter(job_name="clean_warehouse"))

    assert n_runs() == 0  # there is nothing to clean yet
    put_kafka(depot, "a.json")
    depot.settle()
    assert update_products(depot.platform, run_id="test").refused == {}
    assert [n_runs(), n_runs()] == [1, 1]
    depot.clock.advance(minutes=50)
    assert n_runs() == 1
    depot.clock.advance(minutes=20)
    assert n_runs() == 2


def test_it_runs_every_hour_from_the_start(definitions: dg.Definitions) -> None:
    schedule = next(one for one in definitions.schedules or () if one.name == "hourly_cleaning")

    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.default_status) == ("15 * * * *", dg.DefaultScheduleStatus.RUNNING)
