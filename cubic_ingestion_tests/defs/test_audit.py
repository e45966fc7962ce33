"""The audit as Dagster shows it: an asset with a check, once a day."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from cubic_ingestion.defs.audit import ACCOUNTED_FOR, AUDIT
from cubic_ingestion_tests.defs.runs import QUIET
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import DMAP, put_dmap


def check_of(definitions: dg.Definitions, instance: dg.DagsterInstance) -> tuple[bool, Mapping[str, Any]]:
    """Materialise the audit as its schedule does; returns what its check says."""
    result = definitions.resolve_job_def("audit_zones").execute_in_process(run_config=QUIET, instance=instance)
    (check,) = result.get_asset_check_evaluations()
    assert (check.asset_key, check.check_name) == (AUDIT, ACCOUNTED_FOR)
    return check.passed, {name: value.value for name, value in check.metadata.items()}


def test_the_check_passes_while_everything_is_accounted_for(
    definitions: dg.Definitions, instance: dg.DagsterInstance, depot: Depot
) -> None:
    put_dmap(depot, "20220304.csv")
    depot.settle()

    assert check_of(definitions, instance) == (True, {"n_findings": 0, "findings": "none", "notes": "none"})


def test_the_check_fails_and_names_what_is_wrong(
    definitions: dg.Definitions, instance: dg.DagsterInstance, depot: Depot
) -> None:
    put_dmap(depot, "20220304.csv")
    depot.settle()
    (depot.root / "archive" / DMAP / "20220304.csv").unlink()

    passed, metadata = check_of(definitions, instance)

    assert (passed, metadata["n_findings"]) == (False, 1)
    assert "original_missing, load 1, archive: cubic/dmap/agg_sample/20220304.csv: " in metadata["findings"]


def test_it_runs_once_a_day_from_the_start(definitions: dg.Definitions) -> None:
    schedule = next(one for one in definitions.schedules or () if one.name == "daily_audit")

    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.default_status) == ("0 5 * * *", dg.DefaultScheduleStatus.RUNNING)
