"""What a person's own assets write to Springboard: one file per partition, and a table in the catalog."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from cubic_ingestion.defs.assets import build_table_asset
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import DerivedTableError
from cubic_ingestion_tests.defs.conftest import DMAP_TABLE
from cubic_ingestion_tests.defs.test_io_managers import ingested, run
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import put_dmap

DAYS = dg.DailyPartitionsDefinition(start_date="2022-03-04", end_date="2022-03-08")
ALL_DAYS = ["2022-03-04", "2022-03-05", "2022-03-06", "2022-03-07"]
RANGE = {
    "dagster/asset_partition_range_start": "2022-03-04",
    "dagster/asset_partition_range_end": "2022-03-06",
}

Rows = list[dict[str, Any]]


def a_daily_asset(version: Callable[[], int]) -> dg.AssetsDefinition:
    """Build an asset that returns one frame for whatever days a run has."""

    @dg.asset(
        io_manager_key="springboard",
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"partition_expr": "day"},
    )
    def daily(context: dg.AssetExecutionContext) -> pa.Table:
        return frame_of(context.partition_keys, version())

    return daily


def frame_of(days: Sequence[str], version: int = 1) -> pa.Table:
    return pa.table({"day": list(days), "v": [version] * len(days)})


def a_reader(seen: list[Rows], partitions_def: dg.PartitionsDefinition | None = None, **of_input: Any) -> Any:
    """Build an asset that keeps what it reads of ``daily``."""

    @dg.asset(
        ins={"daily": dg.AssetIn("daily", input_manager_key="springboard", **of_input)},
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions_def else None,
    )
    def reader(daily: pa.Table) -> None:
        seen.append(daily.to_pylist())

    return reader


@pytest.mark.usefixtures("depot")
def test_an_asset_without_partitions_reads_every_partition_of_another(instance: dg.DagsterInstance) -> None:
    daily, seen = a_daily_asset(lambda: 1), list[Rows]()
    for day in ALL_DAYS:
        run(instance, [daily], partition_key=day)

    run(instance, [daily, a_reader(seen)])

    assert seen == [[{"day": day, "v": 1} for day in ALL_DAYS]]


def test_each_partition_of_a_range_is_the_one_that_was_written_last(depot: Depot, instance: dg.DagsterInstance) -> None:
    version = 1
    daily, seen = a_daily_asset(lambda: version), list[Rows]()
    run(instance, [daily], tags=RANGE)
    version = 2
    run(instance, [daily], partition_key="2022-03-05")

    run(instance, [daily, a_reader(seen, DAYS)], tags=RANGE)
    run(instance, [daily, a_reader(seen, DAYS)], partition_key="2022-03-04")

    assert [[row["v"] for row in rows] for rows in seen] == [[1, 2, 1], [1]]
    assert depot.files("springboard") == [f"daily/partition_key={day}/part-0.parquet" for day in ALL_DAYS[:3]]


@pytest.mark.usefixtures("depot")
def test_a_range_may_be_returned_as_a_dict_of_frames(instance: dg.DagsterInstance) -> None:
    @dg.asset(io_manager_key="springboard", partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def daily(context: dg.AssetExecutionContext) -> dict[str, pd.DataFrame]:
        return {day: frame_of([day]).to_pandas() for day in context.partition_keys}

    seen: list[Rows] = []
    run(instance, [daily], tags=RANGE)
    run(instance, [daily, a_reader(seen, DAYS)], partition_key="2022-03-06")

    assert seen == [[{"day": "2022-03-06", "v": 1}]]


@pytest.mark.parametrize(
    ("returned", "metadata", "message"),
    [
        (frame_of(ALL_DAYS[:3]), {}, r"One frame came for 3 partitions.*partition_expr"),
        (frame_of(ALL_DAYS), {"partition_expr": "day"}, r"'day' has values.*'2022-03-07'"),
        (pa.table({"day": [None, "2022-03-04"]}), {"partition_expr": "day"}, r"'day' has values.*None"),
        (frame_of(ALL_DAYS[:3]), {"partition_expr": "tag"}, r"names the column 'tag'; the frame has 'day', 'v'"),
        ({"2022-03-04": frame_of(["2022-03-04"])}, {}, r"frames for '2022-03-04', and the run materialises"),
    ],
)
def test_rows_without_a_partition_of_their_own_are_refused_and_nothing_is_written(
    depot: Depot, instance: dg.DagsterInstance, returned: object, metadata: Mapping[str, Any], message: str
) -> None:
    @dg.asset(
        io_manager_key="springboard",
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata=metadata,
    )
    def daily():  # noqa: ANN202 - annotated, Dagster would check the type in the IO manager's place
        return returned

    with pytest.raises(dg.DagsterInvariantViolationError, match=message):
        run(instance, [daily], tags=RANGE)

    assert depot.files("springboard") == []


def test_a_partition_of_the_range_without_rows_is_an_empty_file(depot: Depot, instance: dg.DagsterInstance) -> None:
    @dg.asset(
        io_manager_key="springboard",
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"partition_expr": "day"},
    )
    def daily() -> pa.Table:
        return frame_of(["2022-03-05"])

    seen: list[Rows] = []
    run(instance, [daily], tags=RANGE)
    run(instance, [daily, a_reader(seen, DAYS)], tags=RANGE)

    assert seen == [[{"day": "2022-03-05", "v": 1}]]
    assert len(depot.files("springboard")) == 3


@pytest.mark.usefixtures("depot")
def test_a_missing_partition_is_named_unless_the_input_allows_it(instance: dg.DagsterInstance) -> None:
    daily, seen = a_daily_asset(lambda: 1), list[Rows]()
    run(instance, [daily], tags=RANGE)

    with pytest.raises(dg.DagsterInvariantViolationError, match=r"'daily' has no file.* for 2022-03-07\. Materialise"):
        run(instance, [daily, a_reader(seen)])
    run(instance, [daily, a_reader(seen, metadata={"allow_missing_partitions": True})])

    assert [row["day"] for row in seen[0]] == ALL_DAYS[:3]


def test_a_column_called_identifier_survives(
    depot: Depot, tables: Mapping[str, Table], instance: dg.DagsterInstance
) -> None:
    put_dmap(depot, "20220304.csv")
    put_dmap(depot, "20220305.csv")
    ingested(depot, tables[DMAP_TABLE])

    @dg.asset(ins={"sample": dg.AssetIn(asset_key(tables[DMAP_TABLE]))}, io_manager_key="springboard")
    def sample_by_day(sample: pd.DataFrame) -> pd.DataFrame:
        return sample.groupby("identifier", as_index=False)[["sample_count"]].sum()

    seen: list[Rows] = []

    @dg.asset(ins={"sample_by_day": dg.AssetIn(input_manager_key="springboard")})
    def report(sample_by_day: pa.Table) -> None:
        seen.append(sample_by_day.to_pylist())

    cubic = build_table_asset(tables[DMAP_TABLE])
    run(instance, [cubic, sample_by_day])
    run(instance, [cubic, sample_by_day, report])

    expected = [("20220304.csv", 5), ("20220305.csv", 5)]
    assert [(row["identifier"], row["sample_count"]) for row in seen[0]] == expected
    assert in_catalog(depot, "select identifier, sample_count from sample_by_day order by 1") == expected


def in_catalog(depot: Depot, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(depot.platform.catalog.address, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_what_an_asset_writes_is_a_view_with_its_partitions(depot: Depot, instance: dg.DagsterInstance) -> None:
    parts = dg.StaticPartitionsDefinition(["north/east 100%", "south"])

    @dg.asset(key_prefix="reports", io_manager_key="springboard", partitions_def=parts)
    def rides(context: dg.AssetExecutionContext) -> pa.Table:
        return pa.table({"n": [len(context.partition_key)]})

    _, result = (run(instance, [rides], partition_key=key) for key in parts.get_partition_keys())

    assert in_catalog(depot, "select n, partition_key from reports__rides order by 1") == [
        (5, "south"),
        (15, "north/east 100%"),
    ]
    [event] = result.asset_materializations_for_node("reports__rides")
    assert event.metadata["dagster/table_name"].value == "reports__rides"
    assert event.metadata["dagster/partition_row_count"].value == 1


def test_a_view_keeps_every_digit_where_the_types_of_partitions_differ(
    depot: Depot, instance: dg.DagsterInstance
) -> None:
    frames = {
        "a": pa.table({"n": [2**53 + 1]}),
        "b": pa.table({"n": [0.5]}),
        "c": pa.table({"n": pa.array([7], pa.int32())}),
    }

    @dg.asset(io_manager_key="springboard", partitions_def=dg.StaticPartitionsDefinition(list(frames)))
    def counts(context: dg.AssetExecutionContext) -> pa.Table:
        return frames[context.partition_key]

    for key in frames:
        run(instance, [counts], partition_key=key)
    assert in_catalog(depot, "select n from counts order by partition_key") == [("9007199254740993",), ("0.5",), ("7",)]

    frames["b"] = pa.table({"n": [5]})
    for key in ("b", "a"):
        run(instance, [counts], partition_key=key)
    assert in_catalog(depot, "select n from counts order by partition_key") == [(9007199254740993,), (5,), (7,)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["partition_key"], "Column 'partition_key' has the name of the folders"),
        (["Fare", "fare"], "Two columns are called 'fare'"),
    ],
)
def test_a_column_that_would_be_hidden_is_refused_by_its_name(
    depot: Depot, instance: dg.DagsterInstance, names: list[str], message: str
) -> None:
    @dg.asset(io_manager_key="springboard", partitions_def=DAYS)
    def daily() -> pa.Table:
        return pa.table({name: [1] for name in names})

    with pytest.raises(DerivedTableError, match=message):
        run(instance, [daily], partition_key="2022-03-04")
    assert depot.files("springboard") == []


@pytest.mark.usefixtures("depot")
def test_the_name_of_a_cubic_table_or_its_folders_is_refused(instance: dg.DagsterInstance) -> None:

    @dg.asset(name=DMAP_TABLE, io_manager_key="springboard")
    def same_name() -> pa.Table:
        return frame_of(["x"])

    @dg.asset(key=["cubic", "dmap", "agg_sample"], io_manager_key="springboard")
    def same_folder() -> pa.Table:
        return frame_of(["x"])

    with pytest.raises(DerivedTableError, match="same name in the catalog"):
        run(instance, [same_name])
    with pytest.raises(DerivedTableError, match="where Cubic's own tables lie"):
        run(instance, [same_folder])


@pytest.mark.usefixtures("depot")
def test_an_index_with_values_is_refused_instead_of_lost(instance: dg.DagsterInstance) -> None:
    @dg.asset(io_manager_key="springboard")
    def by_line() -> pd.DataFrame:
        return pd.DataFrame({"line": ["red", "red"], "n": [1, 2]}).groupby("line").sum()

    with pytest.raises(dg.DagsterInvariantViolationError, match=r"index \('line'\) is no column.*reset_index"):
        run(instance, [by_line])


def test_rows_stay_written_when_the_catalog_refuses_the_table(depot: Depot, instance: dg.DagsterInstance) -> None:
    seen: list[Rows] = []
    daily = a_daily_asset(lambda: 1)
    depot.root.joinpath("catalog.duckdb").mkdir()

    result = run(instance, [daily], partition_key="2022-03-04")
    run(instance, [daily, a_reader(seen, DAYS)], partition_key="2022-03-04")

    assert seen == [[{"day": "2022-03-04", "v": 1}]]
    assert result.success
