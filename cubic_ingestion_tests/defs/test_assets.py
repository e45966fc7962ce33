"""Runs of tables' assets: what they ingest, what they report, and what stops them."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing

import dagster as dg
import pytest

from cubic_ingestion.defs.checks import RECORD_COUNT
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.claim import claim
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.defs.conftest import BASE_TABLE, CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import failures, materialized, replay, shown, sweep
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, put_dmap, put_kafka, put_ods


def ready(depot: Depot) -> None:
    for stream in StreamName:
        register(depot.platform, stream)
        plan(depot.platform, stream)


def archived(depot: Depot, *days: str) -> None:
    for day in days:
        put_dmap(depot, f"{day.replace('-', '')}.csv", f"1,{day},5\n")
    ready(depot)
    ingest(depot.platform, depot.platform.tables[DMAP_TABLE], depot.write_load, run_id="earlier")
    archive(depot.platform, [DMAP_TABLE], run_id="earlier")


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.asset_key.path[-1]: check.passed for check in result.get_asset_check_evaluations()}


def test_one_run_without_a_partition_fills_partitions_of_many_tables(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    for stamp in ("20220304-134556444", "20220304-150000000", "20220305-000000000"):
        put_ods(depot, f"{CHANGES}{stamp}.csv.gz")
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "agg_sample_20220305.csv", "1,a,5\n2,b,5\n")
    put_kafka(depot, "vytxeTZskVKR7C7WgdSP3d.json")
    ready(depot)

    result = sweep(definitions, instance, tables.values())

    assert result.success
    filled = {name: list(materialized(result, table)) for name, table in tables.items()}
    assert filled == {
        BASE_TABLE: ["20220301T000000Z"],
        CHANGE_TABLE: ["20220301T000000Z_2022-03-04", "20220301T000000Z_2022-03-05"],
        DMAP_TABLE: ["2022-03-04", "2022-03-05"],
        KAFKA_TABLE: ["vytxeTZskVKR7C7WgdSP3d"],
    }
    assert set(depot.statuses().values()) == {LoadStatus.READY_FOR_ARCHIVING}
    for name, keys in filled.items():
        assert instance.get_materialized_partitions(asset_key(tables[name])) == set(keys)
        if name != DMAP_TABLE:
            assert list(instance.get_dynamic_partitions(name)) == keys
    assert checks(result) == dict.fromkeys(tables, True)


def test_a_materialisation_tells_rows_bytes_loads_place_columns_and_first_rows(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "agg_sample_20220304.csv", "2,,6\n3,c,7\n")
    put_dmap(depot, "20220305.csv", "2,,6\n3,c|d,7\n")
    ready(depot)

    table = tables[DMAP_TABLE]
    reported = materialized(sweep(definitions, instance, [table]), table)
    metadata = reported["2022-03-04"]

    assert (metadata["dagster/row_count"], metadata["dagster/partition_row_count"]) == (
        sum(one["dagster/partition_row_count"] for one in reported.values()),
        3,
    )
    assert metadata["loads"] == 2
    parts = list((depot.root / "springboard").rglob("identifier=*20220304.csv/*.parquet"))
    assert metadata["size_bytes"] == sum(part.stat().st_size for part in parts)
    assert metadata["dagster/uri"] == (depot.root / "springboard" / table.prefix).as_uri() + "/"
    assert sorted(metadata["locations"].splitlines()) == [
        f"* `{key}`" for key in depot.files("springboard") if "20220304" in key
    ]
    assert metadata["first_source_at"] == metadata["last_source_at"] == 1646352000
    columns = [(column.name, column.type) for column in metadata["dagster/column_schema"].columns]
    assert columns == [("sample_id", "int64"), ("sample_name", "string"), ("sample_count", "int64")]
    assert [record.data for record in reported["2022-03-05"]["preview"].records] == [
        {"sample_id": "2", "sample_name": "NULL", "sample_count": "6"},
        {"sample_id": "3", "sample_name": "c|d", "sample_count": "7"},
    ]


def test_the_columns_of_the_primary_key_are_marked(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    ready(depot)

    (metadata,) = materialized(sweep(definitions, instance, [tables[BASE_TABLE]]), tables[BASE_TABLE]).values()

    marks = {column.name: column.constraints.other for column in metadata["dagster/column_schema"].columns}
    assert marks == {"sample_id": ["primary key 1"], "sample_name": []}


def test_each_partition_shows_its_own_columns_and_no_more_changes_than_people_read(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    archived(depot, "2022-03-03")
    more = [f"c{number}" for number in range(300)]
    depot.put(
        "cubic/dmap/agg_sample/20220304.csv",
        f"sample_id,sample_name,sample_count,{','.join(more)}\n1,a,5{',1' * 300}\n".encode(),
    )
    put_dmap(depot, "20220305.csv")
    ready(depot)

    reported = materialized(sweep(definitions, instance, [tables[DMAP_TABLE]]), tables[DMAP_TABLE])

    columns = {day: len(metadata["dagster/column_schema"].columns) for day, metadata in reported.items()}
    assert columns == {"2022-03-03": 3, "2022-03-04": 303, "2022-03-05": 3}
    changes = reported["2022-03-04"]["schema_changes"].splitlines()
    assert (len(changes), changes[-1]) == (101, "* and 200 more: `cubic tables changes`")


def test_a_later_run_reports_what_the_partition_holds_and_not_only_what_it_added(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    archived(depot, "2022-03-04")
    put_dmap(depot, "agg_sample_20220304.csv", "2,b,6\n3,c,7\n")
    ready(depot)

    metadata = materialized(sweep(definitions, instance, [tables[DMAP_TABLE]]), tables[DMAP_TABLE])["2022-03-04"]

    assert metadata["dagster/row_count"] == 3
    assert metadata["loads"] == 2


def test_a_run_for_a_partition_ingests_what_it_ever_received(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    archived(depot, "2022-03-04", "2022-03-05")
    put_dmap(depot, "agg_sample_20220304.csv", "2,new,6\n")
    ready(depot)
    before = depot.rows(tables[DMAP_TABLE])
    for part in (depot.root / "springboard").rglob("*.parquet"):
        part.unlink()

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert result.success
    assert list(materialized(result, tables[DMAP_TABLE])) == ["2022-03-04"]
    assert [row["sample_name"] for row in depot.rows(tables[DMAP_TABLE])] == ["2022-03-04", "new"]
    assert depot.rows(tables[DMAP_TABLE])[0] == before[0]
    assert depot.statuses()["20220304.csv"] is LoadStatus.ARCHIVED
    assert depot.statuses()["agg_sample_20220304.csv"] is LoadStatus.READY_FOR_ARCHIVING


def test_a_backfill_of_a_range_is_one_run_that_reports_every_day_with_data(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    archived(depot, "2022-03-04", "2022-03-05", "2022-03-07", "2022-03-09")

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-05", "2022-03-08")

    assert result.success
    reported = materialized(result, tables[DMAP_TABLE])
    assert {metadata["dagster/row_count"] for metadata in reported.values()} == {4}  # the whole table's
    partition_rows = {key: metadata["dagster/partition_row_count"] for key, metadata in reported.items()}
    assert partition_rows == {"2022-03-05": 1, "2022-03-07": 1}
    days = [f"2022-03-0{day}" for day in range(5, 9)]
    assert shown(instance, tables[DMAP_TABLE], days) == ["MATERIALIZED", None, "MATERIALIZED", None]


def test_a_range_of_dynamic_partitions_is_replayed(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    for batch in "abcd":
        put_kafka(depot, f"{batch}.json", batch)
    ready(depot)
    sweep(definitions, instance, [tables[KAFKA_TABLE]])
    depot.archive()

    result = replay(definitions, instance, tables[KAFKA_TABLE], "b", "c")

    assert list(materialized(result, tables[KAFKA_TABLE])) == ["b", "c"]


def test_dynamic_partitions_are_added_oldest_first(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_ods(depot, BASE + "LOAD1.csv.gz", started_at="2022-03-01T00:00:00.000")
    for stamp in ("20220306-000000000", "20220304-000000000", "20220305-000000000"):
        put_ods(depot, f"{CHANGES}{stamp}.csv.gz")
    ready(depot)

    sweep(definitions, instance, [tables[CHANGE_TABLE]])

    keys = list(instance.get_dynamic_partitions(CHANGE_TABLE))
    assert keys == sorted(keys)
    assert len(keys) == 3


def test_what_a_partition_received_and_nobody_archived_yet_counts_for_a_person(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ready(depot)
    sweep(definitions, instance, [tables[DMAP_TABLE]])

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert result.success
    assert materialized(result, tables[DMAP_TABLE])["2022-03-04"]["dagster/partition_row_count"] == 1


def test_a_rejected_load_does_not_fail_a_sweeping_run_but_its_check(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    put_dmap(depot, "20220305.csv")
    put_kafka(depot, "b.json")
    ready(depot)

    result = sweep(definitions, instance, [tables[DMAP_TABLE], tables[KAFKA_TABLE]])

    assert result.success
    assert list(materialized(result, tables[DMAP_TABLE])) == ["2022-03-05"]
    assert checks(result) == {DMAP_TABLE: False, KAFKA_TABLE: True}
    [failed] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == RECORD_COUNT
    assert (failed.metadata["loads"].value, failed.metadata["rows"].value) == (1, 1)
    shown_as_table = failed.metadata["rejected"]
    assert isinstance(shown_as_table, dg.TableMetadataValue)
    [rejected] = [record.data for record in shown_as_table.records]
    assert (rejected["key"], rejected["code"]) == ("cubic/dmap/agg_sample/20220304.csv", "bad_value")
    assert "'many'" in str(rejected["message"])


def test_a_rejected_load_fails_a_run_for_its_partition_with_its_reason(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv", "1,a,many\n")
    put_dmap(depot, "20220305.csv")
    ready(depot)

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04", "2022-03-05")

    assert not result.success
    [description] = failures(result)
    assert "20220304.csv" in description
    assert "'many'" in description
    assert list(materialized(result, tables[DMAP_TABLE])) == ["2022-03-05"]
    assert checks(result) == {DMAP_TABLE: False}


def test_a_load_that_a_person_asked_for_and_that_was_given_back_fails_the_run(
    depot: Depot,
    tables: Mapping[str, Table],
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archived(depot, "2022-03-04")

    def refusing(_store: LocalObjectStore, key: str, etag: str | None = None) -> None:
        raise StoreUnavailableError(key, f"Permission denied, {etag}")

    monkeypatch.setattr(LocalObjectStore, "open", refusing)

    result = replay(definitions, instance, tables[DMAP_TABLE], "2022-03-04")

    assert not result.success
    [description] = failures(result)
    assert "20220304.csv" in description
    assert "Permission denied" in description
    assert materialized(result, tables[DMAP_TABLE]) == {}
    assert depot.statuses() == {"20220304.csv": LoadStatus.ARCHIVED}


def test_one_tables_failure_stops_no_other(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "a.json")
    put_ods(depot, BASE + "LOAD1.csv.gz")
    ready(depot)
    with closing(sqlite3.connect(depot.root / "metadata.sqlite")) as connection, connection:
        connection.execute(
            "create trigger breaks before update on cubic_loads when new.status = 'ingesting' "
            "and new.table_id = (select id from cubic_tables where name = ?) "
            "begin select raise(abort, 'this table is broken'); end".replace("?", f"'{DMAP_TABLE}'")
        )

    result = sweep(definitions, instance, tables.values())

    assert not result.success
    assert materialized(result, tables[DMAP_TABLE]) == {}
    assert list(materialized(result, tables[KAFKA_TABLE])) == ["a"]
    assert len(materialized(result, tables[BASE_TABLE])) == 1
    assert depot.statuses()["20220304.csv"] is LoadStatus.READY


def test_a_run_takes_nothing_that_another_run_holds(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ready(depot)
    held = claim(depot.platform, [DMAP_TABLE], Work.INGEST, run_id="another")
    put_dmap(depot, "20220305.csv")
    ready(depot)

    result = sweep(definitions, instance, [tables[DMAP_TABLE]])

    assert result.success
    assert list(materialized(result, tables[DMAP_TABLE])) == ["2022-03-05"]
    assert [load.version.file_name for load in held.loads if held.holds(load)] == ["20220304.csv"]


def test_a_second_run_over_the_same_tables_changes_nothing(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_kafka(depot, "b.json")
    ready(depot)
    sweep(definitions, instance, tables.values())
    before = depot.loads(), [depot.rows(table) for table in tables.values()]

    result = sweep(definitions, instance, tables.values())

    assert result.success
    assert [materialized(result, table) for table in tables.values()] == [{}] * 4
    assert (depot.loads(), [depot.rows(table) for table in tables.values()]) == before


@pytest.mark.parametrize("name", ["a...b.json", "ü x.json", "a+b~(1)@-_.json", ("n" * 190) + ".json"])
def test_any_usable_name_is_a_partition(
    depot: Depot, tables: Mapping[str, Table], definitions: dg.Definitions, instance: dg.DagsterInstance, name: str
) -> None:
    put_kafka(depot, name)
    ready(depot)
    sweep(definitions, instance, [tables[KAFKA_TABLE]])
    depot.archive()
    [key] = instance.get_dynamic_partitions(KAFKA_TABLE)
    assert not set(key) & set(",|[]/:\n")

    result = replay(definitions, instance, tables[KAFKA_TABLE], key)

    assert result.success
    assert materialized(result, tables[KAFKA_TABLE])[key]["loads"] == 1
