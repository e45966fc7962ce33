"""The check of a table judges what waits for a person now, whatever run came last."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.loader import LoadingContextForTest

from cubic_ingestion.defs.checks import RECORD_COUNT
from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.sensors import unreported_partitions
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.acknowledge import acknowledge
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.pipeline.retry import retry
from cubic_ingestion_tests.defs.conftest import BASE_TABLE, CHANGE_TABLE, DMAP_TABLE
from cubic_ingestion_tests.defs.runs import QUIET, failures, replay, sweep
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, put_dmap, put_ods


def evaluation(instance: dg.DagsterInstance, table: Table) -> dg.AssetCheckEvaluation:
    """Return the evaluation that the UI shows."""
    key = dg.AssetCheckKey(asset_key(table), RECORD_COUNT)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    assert asyncio.run(record.targets_latest_materialization(LoadingContextForTest(instance))), "shown as not evaluated"
    evaluated = record.event.get_dagster_event().asset_check_evaluation_data
    assert isinstance(evaluated, dg.AssetCheckEvaluation)
    return evaluated


def counts(evaluated: dg.AssetCheckEvaluation) -> list[object]:
    return [
        evaluated.metadata[f"n_{name}"].value
        for name in ("rejected", "failed_replays", "quarantined", "waiting_too_long")
    ]


def rejected_files(evaluated: dg.AssetCheckEvaluation) -> dict[str, str]:
    shown = evaluated.metadata["rejected"]
    assert isinstance(shown, dg.TableMetadataValue)
    return {str(record.data["key"]).rpartition("/")[2]: str(record.data["code"]) for record in shown.records}


def test_bad_files_keep_the_check_red_though_a_good_one_follows(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    for day in range(1, 5):
        put_dmap(depot, f"2022030{day}.csv", "1,a,many\n")
    ingest_incoming(definitions, instance, depot.platform)
    put_dmap(depot, "20220305.csv")

    ingest_incoming(definitions, instance, depot.platform)

    found = evaluation(instance, tables[DMAP_TABLE])
    assert not found.passed
    assert found.description == "4 loads in Error (bad_value)"
    assert rejected_files(found) == dict.fromkeys((f"2022030{day}.csv" for day in range(1, 5)), "bad_value")


def test_files_that_are_rejected_while_planning_turn_the_check_red_without_any_run(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    for name, data in (("20220304.csv", b""), ("20220305.CSV", b"a\n"), ("x.csv.part", b"a"), ("x.zip", b"PK")):
        depot.put(f"cubic/dmap/agg_sample/{name}", data)

    ingest_incoming(definitions, instance, depot.platform)

    found = evaluation(instance, tables[DMAP_TABLE])
    assert not found.passed
    assert rejected_files(found) == {
        "20220304.csv": "empty_file",
        "20220305.CSV": "unrecognised_name",
        "x.csv.part": "unrecognised_name",
        "x.zip": "unrecognised_name",
    }


def test_the_check_is_green_once_a_rejected_load_is_acknowledged(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    ingest_incoming(definitions, instance, depot.platform)
    assert not evaluation(instance, tables[DMAP_TABLE]).passed

    acknowledge(depot.platform, depot.loads(), "ann", "A known test file")
    ingest_incoming(definitions, instance, depot.platform)

    assert evaluation(instance, tables[DMAP_TABLE]).passed


def test_the_check_is_green_once_a_rejected_load_is_retried_with_success(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    ingest_incoming(definitions, instance, depot.platform)
    next((depot.root / "error").rglob("20220304.csv")).write_text("sample_id,sample_name,sample_count\n1,a,5\n")

    retry(depot.platform, depot.loads())
    ingest_incoming(definitions, instance, depot.platform)

    assert evaluation(instance, tables[DMAP_TABLE]).passed


def test_a_base_table_and_its_change_table_are_judged_each_for_itself(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz").write_bytes(b"no gzip")

    ingest_incoming(definitions, instance, depot.platform)

    assert evaluation(instance, tables[BASE_TABLE]).passed
    assert not evaluation(instance, tables[CHANGE_TABLE]).passed


def test_a_load_that_waits_too_long_turns_the_check_red_and_green_again_when_it_was_ingested(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    before = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute("UPDATE cubic_loads SET inserted_at = ?", (before,))

    tick(definitions, instance)
    assert counts(evaluation(instance, tables[DMAP_TABLE])) == [0, 0, 0, 1]

    ingest_incoming(definitions, instance, depot.platform)
    assert evaluation(instance, tables[DMAP_TABLE]).passed


def test_the_check_is_shown_though_a_run_that_was_planned_later_judged_before_the_rows_came(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = definitions.resolve_implicit_global_asset_job_def()
    selected = job.get_subset(asset_selection={asset_key(tables[DMAP_TABLE])})
    first = instance.create_run_for_job(selected, run_config=QUIET)
    sweep(definitions, instance, [tables[DMAP_TABLE]])
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    put_dmap(depot, "20220305.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)

    execute_run(InMemoryJob(selected), first, instance)

    assert not evaluation(instance, tables[DMAP_TABLE]).passed


def test_the_check_is_shown_after_a_replay_of_a_partition_that_materialises_nothing(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    for day in (4, 5):
        put_dmap(depot, f"2022030{day}.csv")
    ingest_incoming(definitions, instance, depot.platform)
    next((depot.root / "archive").rglob("20220304.csv")).unlink()

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert failures(result)[0].startswith("1 load was not ingested")
    assert not evaluation(instance, tables[DMAP_TABLE]).passed


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    resources = definitions.resources
    with dg.build_sensor_context(instance=instance, definitions=definitions, resources=resources) as context:
        unreported_partitions(context)
