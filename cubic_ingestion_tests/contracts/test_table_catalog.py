"""What every catalog promises."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion.domain.layout import springboard_prefix
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import CatalogUnavailableError
from cubic_ingestion.ports import CatalogEntry, CatalogPart, TableCatalog
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.builders import a_table, an_ods_table

Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(params=["duckdb"])
def path(tmp_path: Path) -> Path:
    """Return where the catalog is; a further adapter is a further parameter."""
    return tmp_path / "home" / "catalog.duckdb"


@pytest.fixture
def catalog(path: Path) -> TableCatalog:
    """Return an empty catalog."""
    return DuckDBTableCatalog(path)


@pytest.fixture
def query(path: Path) -> Query:
    """Return the way in which people query the catalog."""

    def run(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return run


class Springboard:
    """A folder with the Parquet of tables."""

    def __init__(self, root: Path) -> None:
        self.store = LocalObjectStore(root)

    def entry(self, table: Table, partition: str = "identifier=1.csv/", **columns: Any) -> CatalogEntry:
        """Write a load of a table and return what the catalog is told of it."""
        rows = pa.table(columns or {"sample_id": [1], "load_id": [1]})
        prefix = springboard_prefix(table)
        with self.store.writer(f"{prefix}{partition}part-0.parquet") as writer:
            pq.write_table(rows, writer.file)
            writer.commit()
        return CatalogEntry(table, self.store.uri(prefix), rows.schema)


@pytest.fixture
def springboard(tmp_path: Path) -> Springboard:
    """Return an empty Springboard."""
    return Springboard(tmp_path / "springboard")


def register(catalog: TableCatalog, entry: CatalogEntry) -> None:
    catalog.register([entry])


def test_a_registered_table_can_be_queried_by_name(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), sample_id=[7], load_id=[3]))

    assert query("select sample_id, load_id from cubic__dmap__agg_sample") == [(7, 3)]


def test_partitions_are_columns_of_text(catalog: TableCatalog, springboard: Springboard, query: Query) -> None:
    partition = "snapshot=20220301T000000Z/identifier=0012/"
    register(catalog, springboard.entry(an_ods_table(), partition))

    assert query("select snapshot, identifier, typeof(identifier) from cubic__ods_qlik__edw_sample") == [
        ("20220301T000000Z", "0012", "VARCHAR")
    ]


def test_a_raw_table_has_its_own_name(catalog: TableCatalog, springboard: Springboard, query: Query) -> None:
    register(catalog, springboard.entry(a_table(is_raw=True), sample_id=["07"]))

    assert query("select sample_id from raw_cubic__dmap__agg_sample") == [("07",)]


def test_a_base_table_does_not_hold_the_rows_of_its_change_table(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    base, change = an_ods_table(), an_ods_table(name="change", prefix="cubic/ods_qlik/EDW.SAMPLE__ct/")

    catalog.register([springboard.entry(base, n=[1]), springboard.entry(change, n=[2])])

    assert query("select n from cubic__ods_qlik__edw_sample") == [(1,)]
    assert query("select n from change") == [(2,)]


def test_loads_that_come_later_are_seen_without_registering_again(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), "identifier=1/", n=[1]))

    springboard.entry(a_table(), "identifier=2/", n=[2])

    assert query("select n from cubic__dmap__agg_sample order by n") == [(1,), (2,)]


def test_columns_that_come_later_are_seen_and_are_null_before(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), "identifier=1/", a=[1]))
    register(catalog, springboard.entry(a_table(), "identifier=2/", a=[2], b=["x"]))

    assert query("select a, b from cubic__dmap__agg_sample order by a") == [(1, None), (2, "x")]
    assert query(
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
    catalog: TableCatalog,
    springboard: Springboard,
    query: Query,
    values: list["pa.Array[Any]"],
    common: pa.DataType,
    expected: list[object],
) -> None:
    parts: list[CatalogPart] = []
    for number, array in enumerate(values):
        entry = springboard.entry(a_table(), f"identifier={number} '[*].csv/", v=array, other=["x"])
        uri = f"{entry.location}identifier={number} '[*].csv/part-0.parquet".replace(" ", "%20").replace("[", "%5B")
        parts.append(CatalogPart(entry.schema, [uri.replace("]", "%5D")]))
        schema = pa.schema([("v", common if number else array.type), ("other", pa.string())])
        register(catalog, CatalogEntry(a_table(), entry.location, schema, tuple(parts)))

    assert query("select v from cubic__dmap__agg_sample order by v") == [(value,) for value in expected]
    assert query("select distinct other from cubic__dmap__agg_sample") == [("x",)]
    assert query("select identifier from cubic__dmap__agg_sample order by all") == [("0 '[*].csv",), ("1 '[*].csv",)]


def test_a_load_with_fewer_columns_takes_none_away(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), "identifier=1/", a=[1], b=["x"]))
    register(catalog, springboard.entry(a_table(), "identifier=2/", a=[2]))

    assert query("select a, b from cubic__dmap__agg_sample order by a") == [(1, "x"), (2, None)]


def test_a_column_that_is_widened_is_read_in_its_widest_type(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), "identifier=1/", a=[1]))
    register(catalog, springboard.entry(a_table(), "identifier=2/", a=["two"]))

    assert query("select a from cubic__dmap__agg_sample order by a") == [("1",), ("two",)]


def test_a_column_that_a_replay_removed_everywhere_is_gone(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), a=[1], b=["x"]))
    register(catalog, springboard.entry(a_table(), a=["1"]))

    assert query("select * exclude (identifier) from cubic__dmap__agg_sample") == [("1",)]


def test_a_table_that_moved_is_read_from_its_new_place(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    register(catalog, springboard.entry(a_table(), n=[1]))
    register(catalog, springboard.entry(a_table(prefix="cubic/dmap/elsewhere/"), n=[2]))

    assert query("select n from cubic__dmap__agg_sample") == [(2,)]


def test_many_tables_are_registered_at_once(catalog: TableCatalog, springboard: Springboard, query: Query) -> None:
    tables = [a_table(f"table_{number}", prefix=f"cubic/dmap/{number}/") for number in range(3)]

    catalog.register([springboard.entry(table) for table in tables])

    assert [query(f"select count(*) from {table.name}") for table in tables] == [[(1,)]] * 3


def test_a_table_that_cannot_be_registered_does_not_stop_the_others(
    catalog: TableCatalog, springboard: Springboard, query: Query
) -> None:
    good = springboard.entry(a_table())
    empty = replace(good, table=a_table("empty"), location=springboard.store.uri("nothing/"))

    with pytest.raises(CatalogUnavailableError, match="empty"):
        catalog.register([empty, good])

    assert query("select count(*) from cubic__dmap__agg_sample") == [(1,)]


@pytest.mark.parametrize("folder", ["it's", 'a "b"', "a [b] *?", "a%20b", "é{1,2}", "a b;--"])
def test_odd_paths_and_names_are_quoted(catalog: TableCatalog, tmp_path: Path, query: Query, folder: str) -> None:
    springboard = Springboard(tmp_path / folder)
    springboard.entry(a_table(prefix="cubic/dmap/other/"), n=[2])

    register(catalog, springboard.entry(a_table('odd "name"'), n=[1]))

    assert query('select n from "odd ""name"""') == [(1,)]
