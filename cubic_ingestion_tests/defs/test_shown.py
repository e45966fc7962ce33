"""The audit compares what Dagster shows with what the ledger says."""

import gc
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from random import Random

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.utils import make_new_run_id
from sqlalchemy import select

from cubic_ingestion.defs.event_log import report_attempt, report_without_run, shown
from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.partitions import partition_pages, partitions_of
from cubic_ingestion.defs.shown import DagsterCheck
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion_tests.defs.conftest import DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import grow_old
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, put_dmap, put_kafka, put_ods


def found(depot: Depot, instance: dg.DagsterInstance) -> list[tuple[str, str, str]]:
    """Return code, table and problem of each finding."""
    done = audit(depot.platform, further=[DagsterCheck(depot.platform, instance)])
    return [
        (finding.code.value, finding.key, finding.problem) for finding in done.findings if finding.zone == "dagster"
    ]


def cached(instance: dg.DagsterInstance, table: Table) -> set[str]:
    """Return the partitions that Dagster's pages show as materialised and not as failed, by a newly computed cache."""
    definition = partitions_of(table)
    instance.wipe_asset_cached_status([asset_key(table)])
    status = get_and_update_asset_status_cache_value(instance, asset_key(table), definition)
    if status is None:
        return set()
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        materialized = status.deserialize_materialized_partition_subsets(definition).get_partition_keys()
        failed = status.deserialize_failed_partition_subsets(definition).get_partition_keys()
        return set(materialized).difference(failed)


def begin_run(instance: dg.DagsterInstance, table: Table, partition: str) -> dg.DagsterRun:
    """Record a run that works on a partition."""
    run = instance.run_storage.add_run(
        dg.DagsterRun(job_name="by_hand", run_id=make_new_run_id(), status=dg.DagsterRunStatus.STARTED)
    )
    key = asset_key(table)
    data = AssetMaterializationPlannedData(key, partition=partition)
    planned = dg.DagsterEvent.build_asset_materialization_planned_event(run.job_name, key.to_python_identifier(), data)
    instance.report_dagster_event(planned, run.run_id)
    return run


def materialize(instance: dg.DagsterInstance, table: Table, *partitions: str) -> None:
    """Report partitions, as the platform does."""
    report_without_run(instance, [dg.AssetMaterialization(asset_key(table), partition=key) for key in partitions])


def materialize_many(instance: dg.DagsterInstance, table: Table, partitions: Sequence[str]) -> None:
    """Have Dagster show a great many partitions: one is reported, and its event is copied for the others."""
    instance.add_dynamic_partitions(table.name, partitions)
    materialize(instance, table, partitions[0])
    events, storage = SqlEventLogStorageTable, instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        reported = select(events).where(events.c.partition == partitions[0])
        event = dict(connection.execute(reported).mappings().one())
        del event["id"]
        connection.execute(events.insert(), [{**event, "partition": key} for key in partitions[1:]])


def peak_bytes(work: Callable[[], object]) -> int:
    """Return how much memory Python took for some work at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def forget_changes(depot: Depot) -> None:
    """Delete what waits to be reported, as a defect would."""
    claimed = depot.platform.ledger.deliveries[Consumer.DAGSTER].claim(
        list(depot.platform.tables),
        claimant="test",
        now=depot.clock.moment,
        expires_at=depot.clock.moment,
        n_tables=10,
        n_changes=100,
    )
    for work in claimed:
        depot.platform.ledger.deliveries[Consumer.DAGSTER].complete("test", work)


def test_what_was_reported_agrees_with_the_ledger(
    depot: Depot, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220304-134556444.csv.gz")
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv", "1,a,many\n")
    put_dmap(depot, "20220306.csv", "")
    put_kafka(depot, "a.json")
    ingest_incoming(definitions, instance, depot.platform)

    assert found(depot, instance) == []


def test_partitions_with_rows_that_dagster_does_not_show_are_named_unless_they_wait_to_be_reported(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    for name in "ab":
        put_kafka(depot, f"{name}.json", name)
    register(depot.platform, StreamName.KAFKA)
    plan(depot.platform, StreamName.KAFKA)
    ingest(depot.platform, tables[KAFKA_TABLE], depot.write_load, run_id="killed")
    assert found(depot, instance) == []

    forget_changes(depot)

    [(code, table, problem)] = found(depot, instance)
    assert (code, table) == ("not_in_dagster", KAFKA_TABLE)
    assert problem == "2 partitions with rows that Dagster does not show, the first: a."


def test_partitions_that_show_without_rows_are_named(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingest_incoming(definitions, instance, depot.platform)
    for day in ("2022-03-05", "2022-03-06"):
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(tables[DMAP_TABLE]), partition=day))

    [(code, table, problem)] = found(depot, instance)

    assert (code, table) == ("without_rows", DMAP_TABLE)
    assert problem == "2 partitions shown as materialised, without rows, the first: 2022-03-05."


def test_changes_that_nobody_has_reported_for_hours_are_named(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    ingest(depot.platform, tables[DMAP_TABLE], depot.write_load, run_id="killed")
    grow_old(depot, hours=3)

    [(code, table, _)] = found(depot, instance)

    assert (code, table) == ("dagster_behind", DMAP_TABLE)


@pytest.mark.parametrize("name", [DMAP_TABLE, KAFKA_TABLE])
def test_the_partitions_that_count_as_shown_are_those_of_dagsters_own_cache(
    tables: Mapping[str, Table], instance: dg.DagsterInstance, name: str
) -> None:
    table, chance = tables[name], Random(12)  # noqa: S311 - the same histories each time
    days = [f"2022-03-{day:02}" for day in range(1, 9)]
    instance.add_dynamic_partitions(KAFKA_TABLE, days)
    runs: list[dg.DagsterRun] = []
    histories: list[Callable[[str], object]] = [
        lambda day: materialize(instance, table, day),
        lambda day: report_attempt(instance, table, [day], "It is bad."),
        lambda day: report_attempt(instance, table, [day]),
        lambda day: runs.append(begin_run(instance, table, day)),
        lambda _: instance.report_run_failed(runs.pop(0)) if runs else None,
        lambda _: instance.report_run_canceled(runs.pop(0)) if runs else None,
        lambda _: instance.delete_run(runs.pop(0).run_id) if runs else None,
        lambda day: instance.delete_dynamic_partition(KAFKA_TABLE, day),
        lambda _: instance.add_dynamic_partitions(KAFKA_TABLE, days),
    ]

    seen: set[frozenset[str]] = set()
    for _ in range(150):
        chance.choice(histories)(chance.choice(days))
        expected = cached(instance, table)
        assert set(shown(instance, table, [*days, "2022-04-01", "no day"])) == expected
        seen.add(frozenset(expected))

    assert len(seen) > 10
    instance.wipe_assets([asset_key(table)])
    assert shown(instance, table, days) == {}


@pytest.mark.parametrize("name", [DMAP_TABLE, KAFKA_TABLE])
def test_all_partitions_of_a_table_are_listed_page_by_page(
    tables: Mapping[str, Table], instance: dg.DagsterInstance, name: str
) -> None:
    instance.add_dynamic_partitions(KAFKA_TABLE, [f"batch-{number}" for number in range(20)])

    pages = list(partition_pages(instance, tables[name], 10))

    with dg.partition_loading_context(dynamic_partitions_store=instance):
        assert [key for page in pages for key in page] == list(partitions_of(tables[name]).get_partition_keys())
    assert max(map(len, pages)) == 10


def test_a_partition_without_rows_that_a_run_works_on_is_no_finding(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingest_incoming(definitions, instance, depot.platform)
    materialize(instance, tables[DMAP_TABLE], "2022-03-05")
    report_attempt(instance, tables[DMAP_TABLE], ["2022-03-05"], "Its rows are gone.")
    assert found(depot, instance) == []

    run = begin_run(instance, tables[DMAP_TABLE], "2022-03-05")

    assert found(depot, instance) == []
    instance.report_run_canceled(run)
    assert [code for code, _, _ in found(depot, instance)] == ["without_rows"]


@pytest.mark.slow
def test_the_comparison_takes_the_same_memory_for_any_number_of_partitions(
    depot: Depot,
    tables: Mapping[str, Table],
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cubic_ingestion.defs.shown.PAGE_SIZE", 500)
    put_kafka(depot, "a.json")
    ingest_incoming(definitions, instance, depot.platform)
    check, peaks = DagsterCheck(depot.platform, instance), list[int]()

    def collect(_what: str, _n: int) -> None:
        gc.collect()  # at each page; else a page that is done with counts for a while

    for n, first in ((1_000, 0), (5_000, 1_000)):
        materialize_many(instance, tables[KAFKA_TABLE], [f"batch-{first + number:06}" for number in range(n)])
        peaks.append(peak_bytes(lambda: list(check.check(collect))))

    [finding] = check.check(collect)
    assert finding.problem == "6,000 partitions shown as materialised, without rows, the first: batch-000000."
    assert peaks[1] < 1.2 * peaks[0]
