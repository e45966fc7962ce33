"""The job that cleans the warehouse: what it removes, and that it runs every hour."""

from dataclasses import replace

import dagster as dg

from cubic_ingestion.defs.cleaning import clean_warehouse
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


def test_it_runs_every_hour_from_the_start(definitions: dg.Definitions) -> None:
    schedule = next(one for one in definitions.schedules or () if one.name == "hourly_cleaning")

    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.default_status) == ("15 * * * *", dg.DefaultScheduleStatus.RUNNING)
