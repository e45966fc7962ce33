"""What Dagster shows of partitions, whatever became of the runs that should have reported them."""

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from time import time
from typing import BinaryIO

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill

from cubic_ingestion.defs import event_log, reporting
from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.reporting import Reporter, report_unreported
from cubic_ingestion.defs.sensors import unreported_partitions
from cubic_ingestion.defs.translator import ATTEMPT_TAG, asset_key
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.defs.conftest import CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import failures, grow_old, materialized, replay, shown, sweep
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, put_dmap, put_kafka, put_ods

DAYS = ["2022-03-04", "2022-03-05", "2022-03-06"]


def ingested(depot: Depot, table: str = DMAP_TABLE) -> None:
    """Ingest all that is in Incoming, and report nothing, as a run does that is killed before it can."""
    for stream in StreamName:
        register(depot.platform, stream)
        plan(depot.platform, stream)
    ingest(depot.platform, depot.platform.tables[table], depot.write_load, run_id="killed")


def last_materialization(instance: dg.DagsterInstance, table: Table) -> Mapping[str, object]:
    event = instance.get_latest_materialization_event(asset_key(table))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def attempts(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(tags={ATTEMPT_TAG: "true"})))


def test_partitions_of_a_run_that_was_killed_before_it_could_report_them_are_reported(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    table = tables[DMAP_TABLE]
    put_dmap(depot, "20220304.csv", "1,a,5\n2,b,6\n")
    put_dmap(depot, "20220305.csv", "3,c,7\n")
    ingested(depot)
    assert shown(instance, table, DAYS) == [None, None, None]

    assert report_unreported(depot.platform, instance) == 2

    assert shown(instance, table, DAYS) == ["MATERIALIZED", "MATERIALIZED", None]
    metadata = last_materialization(instance, table)
    assert (metadata["dagster/row_count"], metadata["dagster/partition_row_count"], metadata["loads"]) == (3, 1, 1)
    assert "'sample_name': 'c'" in str(metadata["preview"])
    assert report_unreported(depot.platform, instance) == 0


def test_a_report_that_takes_longer_than_the_lease_keeps_its_table(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingested(depot)
    deliveries, lease_seconds = depot.platform.ledger.deliveries[Consumer.DAGSTER], 900
    taken_by_others: list[str] = []

    class StoreThatTakesLong(LocalObjectStore):
        @contextmanager
        def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
            depot.clock.advance(seconds=lease_seconds * 0.9)
            with super().open(key, etag) as body:
                yield body

    def log_slowly(_: Sequence[dg.AssetMaterialization]) -> None:
        depot.clock.advance(seconds=lease_seconds * 0.9)
        now, expires_at = platform.claim_term()
        taken_by_others.extend(deliveries.due([DMAP_TABLE], now=now, expires_at=expires_at))

    stores = replace(depot.platform.stores, springboard=StoreThatTakesLong(depot.root / "springboard"))
    platform = replace(depot.platform, stores=stores, clock=depot.clock)
    assert platform.limits.claim_timeout_seconds == lease_seconds

    assert Reporter(platform, instance, "run", log_slowly).report_changes(tables[DMAP_TABLE]) == 1

    assert taken_by_others == []
    assert deliveries.backlog() == []


def test_dynamic_partitions_are_registered_before_they_are_reported(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    for name in "bca":
        put_kafka(depot, f"{name}.json", name)
    ingested(depot, KAFKA_TABLE)

    report_unreported(depot.platform, instance)

    assert list(instance.get_dynamic_partitions(KAFKA_TABLE)) == ["a", "b", "c"]
    assert shown(instance, tables[KAFKA_TABLE], ["a", "b", "c"]) == ["MATERIALIZED"] * 3


def test_a_run_reports_what_an_earlier_one_could_not(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingested(depot)
    put_dmap(depot, "20220305.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)

    result = sweep(definitions, instance, [tables[DMAP_TABLE]])

    assert list(materialized(result, tables[DMAP_TABLE])) == DAYS[:2]
    assert depot.platform.ledger.deliveries[Consumer.DAGSTER].backlog() == []


def test_cubic_ingest_reports_what_an_earlier_one_could_not_though_nothing_is_new(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingested(depot)

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", None, None]


def test_the_sensor_leaves_what_is_new_to_the_run_that_made_it(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingested(depot)

    tick(definitions, instance)
    assert shown(instance, tables[DMAP_TABLE], DAYS) == [None, None, None]

    grow_old(depot, minutes=2)
    tick(definitions, instance)
    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", None, None]


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    resources = definitions.resources
    with dg.build_sensor_context(instance=instance, definitions=definitions, resources=resources) as context:
        unreported_partitions(context)


def test_a_table_that_cannot_be_reported_waits_with_its_reason_and_stops_no_other(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")
    ingested(depot)
    ingested(depot, KAFKA_TABLE)
    store = event_log.report_without_run

    def refusing(instance: dg.DagsterInstance, events: list[dg.AssetMaterialization]) -> None:
        if events[0].asset_key == asset_key(tables[DMAP_TABLE]):
            raise RuntimeError("the event log is full")
        store(instance, events)

    monkeypatch.setattr(reporting, "report_without_run", refusing)

    report_unreported(depot.platform, instance)

    assert shown(instance, tables[KAFKA_TABLE], ["a"]) == ["MATERIALIZED"]
    [behind] = depot.platform.ledger.deliveries[Consumer.DAGSTER].backlog()
    assert (behind.table, behind.error) == (DMAP_TABLE, "RuntimeError: the event log is full")
    assert behind.due_at is not None


def test_an_upgrade_reports_again_only_what_dagster_does_not_show(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingest_incoming(definitions, instance, depot.platform)
    put_dmap(depot, "20220305.csv")
    ingested(depot)
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute("DELETE FROM cubic_deliveries WHERE consumer = 'dagster'")
        connection.execute(
            "INSERT INTO cubic_deliveries (consumer, table_id, change_id, is_seed) "
            "SELECT 'dagster', table_id, id, true FROM cubic_changes WHERE kind = 'published'"
        )
    n_before = n_materializations(instance, tables[DMAP_TABLE])

    assert report_unreported(depot.platform, instance) == 2

    assert n_materializations(instance, tables[DMAP_TABLE]) == n_before + 1
    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", "MATERIALIZED", None]


def test_a_partition_that_more_loads_changed_than_one_claim_takes_is_reported_once(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "N_CHANGES", 2)
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    for second in range(5):
        put_ods(depot, CHANGES + f"20220601-00000{second}000.csv.gz")
    ingested(depot, CHANGE_TABLE)

    report_unreported(depot.platform, instance)

    assert n_materializations(instance, tables[CHANGE_TABLE]) == 1
    assert depot.platform.ledger.deliveries[Consumer.DAGSTER].backlog() == []


def n_materializations(instance: dg.DagsterInstance, table: Table) -> int:
    return len(instance.fetch_materializations(asset_key(table), limit=100).records)


def test_a_partition_whose_loads_moved_to_another_snapshot_is_shown_no_longer(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    put_ods(depot, CHANGES + "20220601-000000000.csv.gz")
    ingest_incoming(definitions, instance, depot.platform)
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-05-01T00:00:00.000")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert list(instance.get_dynamic_partitions(CHANGE_TABLE)) == ["20220501T000000Z_2022-06-01"]
    assert shown(instance, tables[CHANGE_TABLE], ["20220501T000000Z_2022-06-01"]) == ["MATERIALIZED"]


def test_a_file_with_a_header_alone_is_data_and_its_day_is_materialised(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "")

    ingest_incoming(definitions, instance, depot.platform)

    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", None, None]


def test_a_rejected_day_that_nobody_asked_for_shows_as_failed_with_its_reason(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    put_dmap(depot, "20220305.csv")

    assert ingest_incoming(definitions, instance, depot.platform) == []

    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["FAILED", "MATERIALIZED", None]
    [attempt] = attempts(instance)
    assert attempt.status is dg.DagsterRunStatus.FAILURE
    [record] = instance.get_records_for_run(attempt.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert "Load 1 (cubic/dmap/agg_sample/20220304.csv) was rejected: bad_value" in str(record.event_log_entry.message)


def test_a_day_that_was_rejected_and_came_again_is_materialised(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    ingest_incoming(definitions, instance, depot.platform)
    put_dmap(depot, "20220304.csv")

    ingest_incoming(definitions, instance, depot.platform)

    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", None, None]


def test_a_rejected_day_fails_the_run_that_a_person_starts_for_it(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    ingest_incoming(definitions, instance, depot.platform)

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert not result.success
    [reason] = failures(result)
    assert "Load 1 (cubic/dmap/agg_sample/20220304.csv) was rejected: bad_value" in reason
    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["FAILED", None, None]


def test_a_day_without_loads_says_so_and_stays_missing(
    tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert result.success
    assert shown(instance, tables[DMAP_TABLE], DAYS) == [None, None, None]
    [observation] = instance.fetch_observations(asset_key(tables[DMAP_TABLE]), limit=10).records
    assert observation.partition_key == "2022-03-04"


def test_of_a_range_with_a_rejected_day_only_that_day_shows_as_failed(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    put_dmap(depot, "20220306.csv")
    ingest_incoming(definitions, instance, depot.platform)

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04", "2022-03-06")

    assert not result.success
    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["FAILED", None, "MATERIALIZED"]


def test_a_day_that_an_earlier_release_showed_without_data_no_longer_shows_as_materialised(
    tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(tables[DMAP_TABLE]), partition="2022-03-04"))
    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", None, None]

    replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["FAILED", None, None]


def test_rows_that_a_rejected_version_took_away_no_longer_show_as_materialised(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    register(depot.platform, StreamName.DMAP)
    plan(depot.platform, StreamName.DMAP)
    sweep(definitions, instance, [tables[DMAP_TABLE]])
    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["MATERIALIZED", None, None]
    (depot.root / "incoming/cubic/dmap/agg_sample/20220304.csv").write_text(
        "sample_id,sample_name,sample_count\n1,a,x\n"
    )

    ingest_incoming(definitions, instance, depot.platform)

    assert shown(instance, tables[DMAP_TABLE], DAYS) == ["FAILED", None, None]


def test_a_backfill_asks_no_longer_for_days_that_nothing_was_delivered_for(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingest_incoming(definitions, instance, depot.platform)
    graph, table = definitions.resolve_asset_graph(), tables[DMAP_TABLE]
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id="asked",
            asset_graph=graph,
            partition_names=DAYS,
            asset_selection=[asset_key(table)],
            backfill_timestamp=time(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )

    result = replay(definitions, instance, table, DAYS[0], DAYS[-1], backfill_id="asked")

    assert result.success
    backfill = instance.get_backfill("asked")
    assert backfill is not None
    asked_for = backfill.get_asset_backfill_data(graph).target_subset.iterate_asset_partitions()
    assert [asked.partition_key for asked in asked_for] == [DAYS[0]]
