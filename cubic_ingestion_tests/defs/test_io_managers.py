"""What comes back from Springboard by annotation, and what goes there."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.bootstrap import build
from cubic_ingestion.defs.assets import build_table_asset
from cubic_ingestion.defs.io_managers import SpringboardIOManager
from cubic_ingestion.defs.partitions import partitions_of
from cubic_ingestion.defs.resources import platform_resource
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.defs.conftest import BASE_TABLE, DMAP_TABLE, KAFKA_TABLE
from cubic_ingestion_tests.defs.runs import QUIET
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, put_dmap, put_kafka

FORMS = (pa.Table, pa.RecordBatchReader, pd.DataFrame, ds.Dataset)
SNAPSHOT = "20220301T000000Z"


def ingested(depot: Depot, table: Table) -> None:
    register(depot.platform, table.stream)
    plan(depot.platform, table.stream)
    ingest(depot.platform, table, depot.write_load, run_id="earlier")


def run(instance: dg.DagsterInstance, assets: list[dg.AssetsDefinition], **how: Any) -> dg.ExecuteInProcessResult:
    with build(read_settings()) as built:
        platform = platform_resource(lambda: built)
        resources = {"platform": platform, "springboard": SpringboardIOManager(platform=platform)}
        return dg.materialize(
            assets, selection=[assets[-1]], instance=instance, resources=resources, run_config=QUIET, **how
        )


def read_back(
    instance: dg.DagsterInstance, table: Table, partition: str, form: type = pa.Table
) -> tuple[type, list[dict[str, Any]]]:
    """Read a table's partition in an asset downstream; returns the class of the input, and its rows."""
    seen: list[tuple[type, list[dict[str, Any]]]] = []

    def downstream(upstream: Any) -> None:
        seen.append((type(upstream), rows_of(upstream)))

    downstream.__annotations__["upstream"] = form
    asset = dg.asset(ins={"upstream": dg.AssetIn(asset_key(table))}, partitions_def=partitions_of(table))(downstream)
    instance.add_dynamic_partitions(table.name, [partition])
    run(instance, [build_table_asset(table), asset], partition_key=partition)
    return seen[0]


def rows_of(read: Any) -> list[dict[str, Any]]:
    match read:
        case pd.DataFrame():
            return pa.Table.from_pandas(read, preserve_index=False).to_pylist()
        case pa.RecordBatchReader():
            return read.read_all().to_pylist()
        case ds.Dataset():
            return read.to_table().to_pylist()
        case _:
            return read.to_pylist()


@pytest.mark.parametrize("form", FORMS)
def test_an_input_has_the_form_its_annotation_names_with_hive_columns(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance, form: type
) -> None:
    for name in ("20220304.csv", "agg_sample_20220304.csv", "20220305.csv"):
        put_dmap(depot, name)
    ingested(depot, tables[DMAP_TABLE])
    ids = {load.version.file_name: load.id for load in depot.loads()}

    read_as, rows = read_back(instance, tables[DMAP_TABLE], "2022-03-04", form)

    assert issubclass(read_as, form)
    assert sorted(rows, key=lambda row: row["identifier"]) == [
        {
            "sample_id": 1,
            "sample_name": "a",
            "sample_count": 5,
            "load_id": ids[name],
            "identifier": name,
        }
        for name in ("20220304.csv", "agg_sample_20220304.csv")
    ]


def test_an_ods_partition_has_its_snapshot_as_a_column_of_text(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_load(depot, 1, "INT4", "1")
    ingested(depot, tables[BASE_TABLE])

    _, [row] = read_back(instance, tables[BASE_TABLE], SNAPSHOT)

    assert row == {"x": 1, "load_id": row["load_id"], "snapshot": SNAPSHOT, "identifier": "LOAD1.csv.gz"}


def test_an_identifier_is_the_files_name_letter_by_letter(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_kafka(depot, "a.b+c (1) ü.json")
    ingested(depot, tables[KAFKA_TABLE])
    [load] = depot.loads()

    _, [row] = read_back(instance, tables[KAFKA_TABLE], str(load.partition_key))

    assert row["identifier"] == "a.b+c (1) ü.json"


def put_load(depot: Depot, counter: int, kind: str, value: str, **fields: Any) -> None:
    columns = [{"name": "X", "type": kind, **fields}]
    depot.put(f"{BASE}LOAD{counter}.csv.gz", csv_gz(f"X\n{value}"))
    depot.put(f"{BASE}LOAD{counter}.dfm", a_dfm(columns, started_at=f"2022-03-01T00:0{counter - 1}:00.000"))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("INT4", "1"), ("STRING", "b"), ["1", "b"]),
        (("INT4", "1"), ("INT8", "9007199254740993"), [1, 9007199254740993]),
        (("INT8", "9007199254740993"), ("REAL8", "0.5"), ["9007199254740993", "0.5"]),
        (
            ("DATETIME", "2021-12-01 11:20:30.4444444"),
            ("DATETIME", "9999-12-31 00:00:00"),
            ["2021-12-01 11:20:30.4444444", "9999-12-31 00:00:00"],
        ),
    ],
)
def test_loads_whose_types_differ_are_read_together_and_keep_their_values(
    depot: Depot,
    tables: Mapping[str, Table],
    instance: dg.DagsterInstance,
    first: tuple[str, str],
    second: tuple[str, str],
    expected: list[object],
) -> None:
    put_load(depot, 1, *first)
    put_load(depot, 2, *second)
    ingested(depot, tables[BASE_TABLE])

    _, rows = read_back(instance, tables[BASE_TABLE], SNAPSHOT)

    assert [row["x"] for row in sorted(rows, key=lambda row: row["identifier"])] == expected


def test_a_decimal_that_grew_keeps_every_digit(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_load(depot, 1, "NUMERIC", "1234567890.5", precision=11, scale=1)
    put_load(depot, 2, "NUMERIC", "1.2345", precision=19, scale=4)
    ingested(depot, tables[BASE_TABLE])

    _, rows = read_back(instance, tables[BASE_TABLE], SNAPSHOT)

    assert sorted(str(row["x"]) for row in rows) == ["1.2345", "1234567890.5000"]


def test_a_partition_without_rows_is_an_error_that_says_what_to_do(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingested(depot, tables[DMAP_TABLE])
    with pytest.raises(dg.DagsterInvariantViolationError, match=r"no rows in Springboard for 2022-03-05.*Materialise"):
        read_back(instance, tables[DMAP_TABLE], "2022-03-05")


def test_a_partition_whose_file_a_person_removed_is_an_error_and_not_nothing(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    ingested(depot, tables[DMAP_TABLE])
    next((depot.root / "springboard").rglob("*.parquet")).unlink()
    with pytest.raises((FileNotFoundError, dg.DagsterError)):
        read_back(instance, tables[DMAP_TABLE], "2022-03-04")


A_TABLE = pa.table({"x": pa.array([1, 2], pa.int32()), "y": ["a", None]})


@pytest.mark.parametrize(
    "returned",
    [lambda: A_TABLE, A_TABLE.to_reader, A_TABLE.to_pandas],
    ids=["Table", "RecordBatchReader", "DataFrame"],
)
def test_what_an_asset_returns_is_parquet_that_another_reads(
    depot: Depot, instance: dg.DagsterInstance, returned: Callable[[], object]
) -> None:
    @dg.asset(key_prefix="reports", io_manager_key="springboard")
    def totals():  # noqa: ANN202 - annotated, Dagster would check the type in the IO manager's place
        return returned()

    read: list[list[dict[str, Any]]] = []

    @dg.asset(ins={"totals": dg.AssetIn(["reports", "totals"], input_manager_key="springboard")})
    def reader(totals: pa.Table) -> None:
        read.append(totals.to_pylist())

    result = run(instance, [totals])
    run(instance, [totals, reader])

    path = depot.root / "springboard" / "reports" / "totals" / "part-0.parquet"
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    assert [[row["x"], row["y"]] for row in read[0]] == [[1, "a"], [2, None]]
    [event] = result.asset_materializations_for_node("reports__totals")
    assert event.metadata["dagster/row_count"].value == 2
    assert event.metadata["size_bytes"].value == path.stat().st_size
    assert event.metadata["dagster/uri"].value == f"file://{path}"


def test_each_partition_that_an_asset_returns_is_a_file_of_its_own(depot: Depot, instance: dg.DagsterInstance) -> None:
    @dg.asset(io_manager_key="springboard", partitions_def=dg.StaticPartitionsDefinition(["north", "south"]))
    def by_line(context: dg.AssetExecutionContext) -> pa.Table:
        return pa.table({"line": [context.partition_key]})

    for key in ("north", "south", "north"):
        run(instance, [by_line], partition_key=key)

    assert depot.files("springboard") == [
        "by_line/partition_key=north/part-0.parquet",
        "by_line/partition_key=south/part-0.parquet",
    ]


@pytest.mark.parametrize("form", [pa.Table, ds.Dataset, pa.RecordBatchReader])
def test_a_column_whose_type_changed_has_the_text_of_the_view(
    depot: Depot, instance: dg.DagsterInstance, form: type
) -> None:
    lines = dg.StaticPartitionsDefinition(["north", "south"])
    read: list[list[str]] = []

    @dg.asset(io_manager_key="springboard", partitions_def=lines)
    def by_line(context: dg.AssetExecutionContext) -> pa.Table:
        moment = datetime(2022, 3, 4, 10, 11, 12)  # noqa: DTZ001 - as files have them
        is_north = context.partition_key == "north"
        return pa.table({"fare": [1.0] if is_north else ["free"], "since": [moment] if is_north else ["noon"]})

    def reader(by_line: Any) -> None:
        rows = (
            by_line
            if isinstance(by_line, pa.Table)
            else (by_line.to_table() if isinstance(by_line, ds.Dataset) else by_line.read_all())
        )
        read.append(sorted(f"{row['fare']} {row['since']}" for row in rows.to_pylist()))

    reader.__annotations__["by_line"] = form
    whole = dg.asset(ins={"by_line": dg.AssetIn(input_manager_key="springboard")})(reader)
    for key in ("north", "south"):
        run(instance, [by_line], partition_key=key)
    run(instance, [by_line, whole])

    with duckdb.connect(str(depot.root / "catalog.duckdb"), read_only=True) as connection:
        shown = connection.execute("select fare || ' ' || since from by_line order by 1").fetchall()
    assert read == [[text for (text,) in shown]] == [["1.0 2022-03-04 10:11:12", "free noon"]]


def test_another_kind_of_output_is_refused_by_its_name(depot: Depot, instance: dg.DagsterInstance) -> None:
    @dg.asset(io_manager_key="springboard")
    def wrong() -> list[int]:
        return [1]

    with pytest.raises(dg.DagsterInvariantViolationError, match="not a list"):
        run(instance, [wrong])
    assert depot.files("springboard") == []


def test_a_reader_that_breaks_half_way_leaves_what_stood_there(depot: Depot, instance: dg.DagsterInstance) -> None:
    is_broken = False

    @dg.asset(io_manager_key="springboard")
    def feed() -> pa.RecordBatchReader:
        def batches():  # noqa: ANN202 - a generator of batches
            yield A_TABLE.to_batches()[0]
            if is_broken:
                raise OSError("the source went away")

        return pa.RecordBatchReader.from_batches(A_TABLE.schema, batches())

    run(instance, [feed])
    before = next((depot.root / "springboard").rglob("*.parquet")).read_bytes()
    is_broken = True

    with pytest.raises(OSError, match="went away"):
        run(instance, [feed])

    [path] = (depot.root / "springboard").rglob("*.parquet")
    assert path.read_bytes() == before


def test_dates_far_away_come_back_as_pandas_has_them(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_load(depot, 1, "DATETIME", "9999-12-31 00:00:00")
    ingested(depot, tables[BASE_TABLE])

    _, [row] = read_back(instance, tables[BASE_TABLE], SNAPSHOT, pd.DataFrame)

    assert row["x"] == datetime(9999, 12, 31)  # noqa: DTZ001 - the source has no zone
