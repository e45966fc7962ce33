"""The audit compares what Dagster shows with what the metadata database says."""

from collections.abc import Mapping

import dagster as dg

from cubic_ingestion.defs.headless import ingest_incoming
from cubic_ingestion.defs.shown import DagsterCheck
from cubic_ingestion.defs.translator import asset_key
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


def forget_changes(depot: Depot) -> None:
    """Delete what waits to be reported, as a defect would."""
    claimed = depot.platform.repository.claim_dagster(
        list(depot.platform.tables),
        claimant="test",
        now=depot.clock.moment,
        expires_at=depot.clock.moment,
        n_tables=10,
        n_changes=100,
    )
    for work in claimed:
        depot.platform.repository.complete_dagster("test", work)


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
    assert problem == "2 partitions have rows, and Dagster does not show them, the first: a."


def test_partitions_that_show_without_rows_are_named(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingest_incoming(definitions, instance, depot.platform)
    for day in ("2022-03-05", "2022-03-06"):
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(tables[DMAP_TABLE]), partition=day))

    [(code, table, problem)] = found(depot, instance)

    assert (code, table) == ("without_rows", DMAP_TABLE)
    assert problem == "2 partitions show as materialised, and have no rows, the first: 2022-03-05."


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
