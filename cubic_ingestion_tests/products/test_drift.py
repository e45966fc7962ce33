"""Columns that come, go and change their type between merges: a product reads like the view over Springboard."""

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cubic_ingestion.products.rows import free_names
from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.products.deliveries import CHANGES, CT, LOAD, is_complete, open_depot, shown, update

VIEW = "cubic__ods_qlik__edw_sample__ct"
MARCH = "2022-03-01T00:00:00.000"


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with an ODS table whose full load has come."""
    depot = open_depot(tmp_path)
    depot.put(f"{LOAD}.dfm", a_dfm(started_at=MARCH))
    depot.put(f"{LOAD}.csv.gz", csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a\n"))
    return depot


def deliver(depot: Depot, day: int, columns: dict[str, str | dict[str, Any]], *rows: str) -> None:
    """Let a change file of a day land, with columns of its own, and bring the product up to date."""
    declared = [
        {"ordinal": at, "name": name, "primaryKeyPos": 0, **({"type": kind} if isinstance(kind, str) else kind)}
        for at, (name, kind) in enumerate(columns.items(), 1)
    ]
    stem = f"{CT}202203{day:02}-101500123"
    depot.put(f"{stem}.dfm", a_dfm(declared, record_count=len(rows)))
    depot.put(f"{stem}.csv.gz", csv_gz("\n".join([",".join(columns), *rows]) + "\n"))
    update(depot)


def assert_reads_like_springboard(depot: Depot) -> None:
    """Compare every column of the view over Springboard with the product's, value and type."""
    with duckdb.connect(depot.root / "catalog.duckdb", read_only=True) as connection:
        names = sorted(connection.table(VIEW).columns)
        columns = ", ".join(f'"{name}", typeof("{name}")' for name in names)
        theirs, ours = (
            connection.sql(f"select {columns} from {view} order by all").fetchall() for view in (VIEW, CHANGES)
        )
    assert ours == theirs
    assert is_complete(depot)


def test_a_column_that_comes_later_is_null_before(depot: Depot) -> None:
    deliver(depot, 4, {"A": "INT4"}, "1")
    deliver(depot, 5, {"A": "INT4", "B": "STRING"}, "2,b")
    deliver(depot, 6, {"B": "STRING"}, "c")

    assert_reads_like_springboard(depot)


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("INT4", {"type": "NUMERIC", "precision": 12, "scale": 2}, "1.25"),
        ({"type": "NUMERIC", "precision": 10, "scale": 2}, {"type": "NUMERIC", "precision": 14, "scale": 2}, "1.25"),
        (
            {"type": "NUMERIC", "precision": 10, "scale": 2},
            {"type": "NUMERIC", "precision": 14, "scale": 6},
            "1.250001",
        ),
        ("INT4", "STRING", "x"),
        ("REAL4", "REAL8", "1.5"),
        ("DATE", "STRING", "soon"),
        ("DATETIME", "STRING", "soon"),
        ("UINT8", "INT8", "-5"),
    ],
)
def test_a_type_that_widens_keeps_every_value(depot: Depot, before: Any, after: Any, value: str) -> None:
    old = {"DATE": "2022-03-04", "DATETIME": "2022-03-04 10:11:12.123456", "UINT8": "18446744073709551615"}.get(
        before if isinstance(before, str) else "", "7"
    )
    deliver(depot, 4, {"A": before}, old)
    deliver(depot, 5, {"A": after}, value)
    deliver(depot, 6, {"A": before}, old)

    assert_reads_like_springboard(depot)


def test_digits_beyond_the_sixth_are_kept_from_the_first_on(depot: Depot) -> None:
    moment = {"type": "DATETIME", "scale": 7}
    deliver(depot, 4, {"AT": moment, "T": "TIME"}, "2022-03-04 10:11:12.123456,10:11:12")
    deliver(depot, 5, {"AT": moment, "T": "TIME"}, "1969-12-31 23:59:59.1234567,23:59:59", ",")
    deliver(depot, 6, {"AT": moment, "T": "TIME"}, "2022-03-06 00:00:00,00:00:00")

    assert_reads_like_springboard(depot)
    table = depot.platform.warehouse.open(CHANGES)
    assert table is not None


def test_the_largest_numbers_are_kept(depot: Depot) -> None:
    wide = {"type": "NUMERIC", "precision": 38, "scale": 10}
    deliver(depot, 4, {"U": "UINT8", "D": wide}, f"{2**64 - 1},{'9' * 28}.{'9' * 10}", ",")

    assert_reads_like_springboard(depot)


def test_a_column_that_only_an_empty_file_has_is_null_until_rows_come(depot: Depot) -> None:
    deliver(depot, 4, {"A": "INT4"}, "1")
    deliver(depot, 5, {"A": "INT8", "B": "STRING", "C": "UINT8", "AT": {"type": "DATETIME", "scale": 7}})
    assert_reads_like_springboard(depot)
    deliver(depot, 6, {"A": "INT4", "B": "STRING"}, "2,b")
    assert_reads_like_springboard(depot)


def test_columns_of_the_vendor_with_names_of_the_products_columns_get_an_underscore(depot: Depot) -> None:
    deliver(depot, 4, {"ROW_NUMBER": "INT4", "SOURCE_AT": "STRING"}, "7,noon")
    # The new column must not take the name that the rows before it already use.
    deliver(depot, 5, {"ROW_NUMBER": "INT4", "ROW_NUMBER_": "STRING"}, "8,x")

    columns = "row_number, row_number_, row_number__, source_at_, source_at"
    assert shown(depot, CHANGES, columns) == [
        (1, 7, None, "noon", datetime(2022, 3, 4, 10, 15, 0, 123000)),  # noqa: DTZ001 - as DuckDB returns it
        (1, 8, "x", None, datetime(2022, 3, 5, 10, 15, 0, 123000)),  # noqa: DTZ001 - as DuckDB returns it
    ]
    assert is_complete(depot)


def test_a_column_of_the_vendor_is_not_taken_for_the_nanoseconds_of_another(depot: Depot) -> None:
    moment = {"type": "DATETIME", "scale": 7}
    deliver(depot, 4, {"AT__NS": "STRING"}, "first")
    deliver(depot, 5, {"AT": moment, "AT__NS": "STRING"}, "2022-03-04 10:11:12.1234567,second")
    deliver(depot, 6, {"AT": moment, "AT__NS": "STRING"}, "2022-03-04 10:11:12,third")

    assert shown(depot, CHANGES, 'cast("at" as varchar), at__ns_') == [
        ("2022-03-04 10:11:12", "third"),
        ("2022-03-04 10:11:12.1234567", "second"),
        (None, "first"),
    ]
    assert is_complete(depot)


def test_free_names_depend_on_nothing_but_the_name() -> None:
    names = ["row_number", "row_number_", "source_at", "at__ns", "at__ns_", "row_numbers", "at_ns", "__ns"]

    free = free_names(names)

    assert free == {name: free_names([name])[name] for name in names}
    assert len(set(free.values())) == len(names)
    assert [free[name] for name in ("row_numbers", "at_ns")] == ["row_numbers", "at_ns"]
