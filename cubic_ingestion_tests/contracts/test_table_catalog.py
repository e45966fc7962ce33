"""What every catalog promises."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cubic_ingestion.ports import CatalogPart
from cubic_ingestion_tests.builders import a_table, an_ods_table
from cubic_ingestion_tests.contracts.catalogs import CatalogUnderTest, Springboard, a_duckdb_catalog, a_glue_catalog


@pytest.fixture(params=["duckdb", pytest.param("glue", marks=pytest.mark.slow)])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> CatalogUnderTest:
    """Return an empty catalog of each kind in turn."""
    if request.param == "duckdb":
        return a_duckdb_catalog(tmp_path)
    return a_glue_catalog(request.getfixturevalue("glue"), request.getfixturevalue("database"))


@pytest.fixture
def springboard(tmp_path: Path) -> Springboard:
    """Return an empty Springboard."""
    return Springboard(tmp_path / "springboard")


def test_a_registered_table_can_be_queried_by_name(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(a_table(), sample_id=[7], load_id=[3]))

    assert catalog.query("select sample_id, load_id from cubic__dmap__agg_sample") == [(7, 3)]


def test_partitions_are_columns_of_text(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(an_ods_table(), "20220301T000000Z", "0012"))

    assert catalog.query("select snapshot, identifier, typeof(identifier) from cubic__ods_qlik__edw_sample") == [
        ("20220301T000000Z", "0012", "VARCHAR")
    ]


def test_a_raw_table_has_its_own_name(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(a_table(is_raw=True), sample_id=["07"]))

    assert catalog.query("select sample_id from raw_cubic__dmap__agg_sample") == [("07",)]


def test_a_base_table_does_not_hold_the_rows_of_its_change_table(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    base, change = an_ods_table(), an_ods_table(name="change", prefix="cubic/ods_qlik/EDW.SAMPLE__ct/")

    catalog.register(springboard.entry(base, n=[1]), springboard.entry(change, n=[2]))

    assert catalog.query("select n from cubic__ods_qlik__edw_sample") == [(1,)]
    assert catalog.query("select n from change") == [(2,)]


def test_loads_that_come_later_are_seen(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(a_table(), "1", n=[1]))
    catalog.register(springboard.entry(a_table(), "2", n=[2]))

    assert catalog.query("select n from cubic__dmap__agg_sample order by n") == [(1,), (2,)]


def test_a_load_that_was_written_again_shows_its_new_rows_once(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    catalog.register(springboard.entry(a_table(), "1", n=[1]), springboard.entry(a_table("b", prefix="b/"), n=[5]))
    catalog.register(springboard.entry(a_table(), "1", n=[2], m=["new"]))

    assert catalog.query("select n, m from cubic__dmap__agg_sample") == [(2, "new")]


def test_a_load_whose_rows_are_gone_is_seen_no_longer(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(a_table(), "1", n=[1]))
    entry = springboard.entry(a_table(), "2", n=[2])
    catalog.register(entry)
    key = "cubic/dmap/agg_sample/identifier=2/part-0.parquet"
    standing = springboard.store.head(key)
    assert standing is not None
    springboard.store.delete(key, standing.etag)

    for _ in range(2):
        catalog.register(replace(entry, schema=pa.schema([]), partitions=(), gone=[("2",)]))

    assert catalog.query("select n from cubic__dmap__agg_sample") == [(1,)]


def test_a_table_of_which_all_is_gone_before_it_was_ever_seen_is_no_trouble(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    entry = springboard.entry(a_table())
    catalog.register(springboard.entry(an_ods_table(), n=[1]))

    catalog.register(replace(entry, schema=pa.schema([]), partitions=(), gone=[("1.csv",)]))

    assert catalog.query("select n from cubic__ods_qlik__edw_sample") == [(1,)]


def test_registering_again_changes_nothing(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    entries = [springboard.entry(a_table()), springboard.entry(an_ods_table())]
    catalog.register(*entries)
    catalog.register(*entries, *entries)

    assert catalog.query("select count(*) from cubic__dmap__agg_sample") == [(1,)]
    assert catalog.query("select count(*) from cubic__ods_qlik__edw_sample") == [(1,)]


def test_columns_that_come_later_are_seen_and_are_null_before(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    catalog.register(springboard.entry(a_table(), "1", a=[1]))
    catalog.register(springboard.entry(a_table(), "2", a=[2], b=["x"]))

    assert catalog.query("select a, b from cubic__dmap__agg_sample order by a") == [(1, None), (2, "x")]
    assert catalog.query(
        "select column_name from information_schema.columns where table_name = 'cubic__dmap__agg_sample' order by all"
    ) == [("a",), ("b",), ("identifier",)]


FAR, FINE = datetime(9999, 12, 31), "2022-03-04 12:00:00.123456789"  # noqa: DTZ001 - the vendor's times have no zone


@pytest.mark.parametrize(
    ("values", "common", "expected"),
    [
        (
            [pa.array([Decimal("1.5")], pa.decimal128(38, 10)), pa.array([Decimal(10**30)], pa.decimal128(38, 0))],
            pa.string(),
            ["1.5000000000", str(10**30)],
        ),
        (
            [pa.array([7], pa.int64()), pa.array([Decimal("1.5")], pa.decimal128(10, 2))],
            pa.decimal128(21, 2),
            [Decimal("1.50"), Decimal("7.00")],
        ),
        ([pa.array([2**53 + 1]), pa.array([0.5])], pa.string(), ["0.5", str(2**53 + 1)]),
        ([pa.array([True]), pa.array([7])], pa.string(), ["7", "true"]),
        (
            [pa.array([FAR], pa.timestamp("us")), pa.array([FINE]).cast(pa.timestamp("ns"))],
            pa.string(),
            [FINE, "9999-12-31 00:00:00"],
        ),
        ([pa.array([date(2022, 3, 4)]), pa.array(["soon"])], pa.string(), ["2022-03-04", "soon"]),
    ],
    ids=["scales", "integer and decimal", "integer and float", "boolean and integer", "units of time", "text"],
)
def test_a_column_of_several_types_loses_no_value(
    catalog: CatalogUnderTest,
    springboard: Springboard,
    values: list["pa.Array[Any]"],
    common: pa.DataType,
    expected: list[object],
) -> None:
    parts: list[CatalogPart] = []
    for number, array in enumerate(values):
        entry = springboard.entry(a_table(), f"{number} '[*].csv", v=array, other=["x"])
        parts.append(CatalogPart(entry.schema, [f"{entry.partitions[0].location}part-0.parquet"]))
        schema = pa.schema([("v", common if number else array.type), ("other", pa.string())])
        catalog.register(replace(entry, schema=schema, parts=tuple(parts)))

    assert catalog.query("select v from cubic__dmap__agg_sample order by v") == [(value,) for value in expected]
    assert catalog.query("select distinct other from cubic__dmap__agg_sample") == [("x",)]
    assert catalog.query("select identifier from cubic__dmap__agg_sample order by all") == [
        ("0 '[*].csv",),
        ("1 '[*].csv",),
    ]


def test_a_load_with_fewer_columns_takes_none_away(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(a_table(), "1", a=[1], b=["x"]))
    catalog.register(springboard.entry(a_table(), "2", a=[2]))

    assert catalog.query("select a, b from cubic__dmap__agg_sample order by a") == [(1, "x"), (2, None)]


def test_a_column_that_is_widened_is_read_in_its_widest_type(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    catalog.register(springboard.entry(a_table(), "1", a=[1]))
    catalog.register(springboard.entry(a_table(), "2", a=["two"]))

    assert catalog.query("select a from cubic__dmap__agg_sample order by a") == [("1",), ("two",)]


def test_a_table_that_moved_is_read_from_its_new_place(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    catalog.register(springboard.entry(a_table(), n=[1]))
    catalog.register(springboard.entry(a_table(prefix="cubic/dmap/elsewhere/"), n=[2]))

    assert catalog.query("select n from cubic__dmap__agg_sample") == [(2,)]


def test_many_tables_are_registered_at_once(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    tables = [a_table(f"table_{number}", prefix=f"cubic/dmap/{number}/") for number in range(3)]

    catalog.register(*(springboard.entry(table) for table in tables))

    assert [catalog.query(f"select count(*) from {table.name}") for table in tables] == [[(1,)]] * 3


def test_a_table_that_cannot_be_registered_does_not_stop_the_others(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    good, bad = springboard.entry(a_table()), springboard.entry(a_table("bad", prefix="cubic/dmap/bad/"))
    catalog.spoil(bad)

    failures = catalog.catalog.register([bad, good])

    assert list(failures) == ["bad"]
    assert "bad" in str(failures["bad"])
    assert catalog.query("select count(*) from cubic__dmap__agg_sample") == [(1,)]


def test_a_catalog_calls_back_at_each_table_that_it_works_on(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    entries = [springboard.entry(a_table()), springboard.entry(an_ods_table())]
    calls: list[None] = []

    assert catalog.catalog.register(entries, lambda: calls.append(None)) == {}

    assert len(calls) >= len(entries)


def test_partitions_that_people_do_not_find_are_missing(catalog: CatalogUnderTest, springboard: Springboard) -> None:
    table, other = a_table(), an_ods_table()
    first, unknown = springboard.entry(table, "it's [1].csv"), springboard.entry(other)
    assert catalog.catalog.missing(first) == [("it's [1].csv",)]
    catalog.register(first)

    assert list(catalog.catalog.missing(first)) == []
    assert catalog.catalog.missing(unknown) == [("20220301T000000Z", "1.csv")]
    moved = springboard.entry(a_table(prefix="cubic/dmap/elsewhere/"), "2.csv")
    assert catalog.catalog.missing(moved) == [("2.csv",)]


def test_of_a_table_whose_column_has_several_types_each_partition_is_told_apart(
    catalog: CatalogUnderTest, springboard: Springboard
) -> None:
    entries = [springboard.entry(a_table(), f"it's [{value}].csv", v=[value]) for value in ("text", 7, True)]
    parts = [CatalogPart(each.schema, [f"{each.partitions[0].location}part-0.parquet"]) for each in entries]
    for entry in entries[:2]:
        catalog.register(replace(entry, schema=pa.schema([("v", pa.string())]), parts=tuple(parts[:2])))

    page = replace(entries[0], partitions=[each.partitions[0] for each in entries])
    assert catalog.catalog.missing(page) == [("it's [True].csv",)]


def test_a_query_to_try_names_the_table(catalog: CatalogUnderTest) -> None:
    assert "raw_cubic__dmap__agg_sample" in catalog.catalog.query("raw_cubic__dmap__agg_sample")
    assert catalog.catalog.address


@pytest.mark.parametrize("folder", ["it's", 'a "b"', "a [b] *?", "a%20b", "é{1,2}", "a b;--"])
def test_odd_paths_and_names_are_quoted(catalog: CatalogUnderTest, tmp_path: Path, folder: str) -> None:
    springboard = Springboard(tmp_path / folder)
    springboard.entry(a_table(prefix="cubic/dmap/other/"), n=[2])

    catalog.register(springboard.entry(a_table('odd "name"'), n=[1]))

    assert catalog.query('select n from "odd ""name"""') == [(1,)]
