"""Every value of every type comes back from the warehouse as it was, through every way of reading."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubic_ingestion.parsing.arrow_types import TYPE_TEXTS, arrow_type
from cubic_ingestion.parsing.stored_types import (
    nanosecond_columns,
    original_expression,
    stored_schema,
    to_stored,
)
from cubic_ingestion.ports import Warehouse
from cubic_ingestion_tests.warehouse.warehouses import a_file, in_duckdb, rows_of

LAST_MICROSECOND = datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 - the vendor's moments have no zone
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 - the vendor's moments have no zone
FIRST_NS, LAST_NS = -(2**63) + 2, 2**63 - 2
"""What DuckDB takes for a moment: the numbers beyond are its infinities."""
DAY_NS = 86_400 * 10**9

VALUES: dict[str, list[Any]] = {
    "string": ["", "x" * 10_000, "ü\n\x00"],
    "json": ['{"a": 1}'],
    "binary": [b"", b"\x00\xff"],
    "bool": [True, False],
    "int8": [-128, 127],
    "int16": [-(2**15), 2**15 - 1],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
    "uint8": [0, 255],
    "uint16": [0, 2**16 - 1],
    "uint32": [0, 2**32 - 1],
    "uint64": [0, 2**64 - 1],
    "float32": [-0.5, float("inf")],
    "float64": [0.1, float("-inf")],
    "date32": [date(1, 1, 1), date(9999, 12, 31)],
    "time32[s]": [time(0), time(23, 59, 59)],
    "time32[ms]": [time(0), time(23, 59, 59, 999000)],
    "time64[us]": [time(0), time(23, 59, 59, 999999)],
    "time64[ns]": [0, 1, DAY_NS - 1],
    "timestamp[s]": [datetime(1, 1, 1), LAST_MICROSECOND.replace(microsecond=0)],  # noqa: DTZ001 - as above
    "timestamp[ms]": [BEFORE_1970.replace(microsecond=999000), LAST_MICROSECOND.replace(microsecond=999000)],
    "timestamp[us]": [BEFORE_1970, LAST_MICROSECOND],
    "timestamp[ns]": [FIRST_NS, -1, 0, 1, 999, 1_000, LAST_NS],
}
DECIMALS = {
    pa.decimal128(38, 0): [Decimal(10**38 - 1), Decimal(-(10**38) + 1)],
    pa.decimal128(38, 38): [Decimal(f"0.{'9' * 38}"), Decimal(f"-0.{'0' * 37}1")],
    pa.decimal128(19, 4): [Decimal("-123456789012345.6789")],
}
CASES = [(arrow_type(text), values) for text, values in VALUES.items()] + [*DECIMALS.items()]


def test_each_type_of_a_column_has_a_case() -> None:
    assert {*VALUES, "decimal128(precision, scale)"} == set(TYPE_TEXTS)


@pytest.mark.parametrize(("kind", "values"), CASES, ids=lambda case: str(case) if isinstance(case, pa.DataType) else "")
def test_a_value_comes_back_in_its_original_type(local: Warehouse, kind: pa.DataType, values: list[Any]) -> None:
    original = pa.table({"value": pa.array([*values, None], kind)})
    with_nanoseconds = nanosecond_columns(original)
    stored = stored_schema(original.schema, with_nanoseconds)
    table = local.create("sample", stored)
    table = table.commit(add=[a_file(table, to_stored(original, stored))], remove=[], properties={})
    assert table.schema == stored

    wanted = original_expression("value", kind, has_nanoseconds=bool(with_nanoseconds))
    as_numbers = kind in {pa.timestamp("ns"), pa.time64("ns")}
    shown = f"epoch_ns({wanted})" if as_numbers else wanted
    seen = in_duckdb(local, table, f"select {shown}, typeof({wanted}) from t")

    assert [value for value, _ in seen] == [*values, None]
    assert {name for _, name in seen} == set(in_duckdb_springboard(local, original))


def in_duckdb_springboard(local: Warehouse, original: pa.Table) -> list[str]:
    """Return the type that DuckDB shows for a Parquet file as Springboard has it."""
    import duckdb
    import pyarrow.parquet as pq

    with local.bucket.writer("springboard.parquet") as writer:
        pq.write_table(original, writer.file)
        writer.commit()
    path = local.bucket.uri("springboard.parquet").removeprefix("file://")
    with duckdb.connect() as connection:
        return [name for (name,) in connection.execute(f"select typeof(value) from '{path}'").fetchall()]


@given(st.lists(st.integers(FIRST_NS, LAST_NS) | st.none()))
def test_nanoseconds_are_split_exactly_before_and_after_1970(numbers: list[int | None]) -> None:
    original = pa.table({"at": pa.array(numbers, pa.timestamp("ns"))})
    stored = to_stored(original, stored_schema(original.schema, ["at"])).to_pydict()

    microseconds = [moment and (moment - datetime(1970, 1, 1)) for moment in stored["at"]]  # noqa: DTZ001 - as above
    for number, whole, rest in zip(numbers, microseconds, stored["at__ns"], strict=True):
        if number is None:
            assert (whole, rest) == (None, None)
        else:
            assert whole is not None
            assert (((whole.days * 86_400 + whole.seconds) * 10**6 + whole.microseconds) * 1_000 + rest) == number
            assert 0 <= rest <= 999


def test_only_columns_with_a_digit_beyond_the_sixth_need_a_companion() -> None:
    table = pa.table(
        {
            "whole": pa.array([-1_000, None], pa.timestamp("ns")),
            "digits": pa.array([None, -1], pa.timestamp("ns")),
            "clock": pa.array([1, 2], pa.time64("ns")),
            "micro": pa.array([1, 2], pa.timestamp("us")),
        }
    )

    assert nanosecond_columns(table) == {"digits", "clock"}
    assert nanosecond_columns(table.slice(0, 0)) == set()
    assert stored_schema(table.schema, {"digits"}).names == ["whole", "digits", "digits__ns", "clock", "micro"]


def test_digits_are_never_dropped_for_lack_of_a_companion() -> None:
    table = pa.table({"at": pa.array([1], pa.timestamp("ns"))})

    with pytest.raises(pa.ArrowInvalid, match="'at' has nanoseconds"):
        to_stored(table, stored_schema(table.schema))


def test_rows_from_before_the_companion_count_as_whole_microseconds(local: Warehouse) -> None:
    early = pa.table({"at": pa.array([5_000], pa.timestamp("ns"))})
    late = pa.table({"at": pa.array([5_001], pa.timestamp("ns"))})
    table = local.create("sample", stored_schema(early.schema))
    table = table.commit(add=[a_file(table, to_stored(early, table.schema))], remove=[], properties={})
    wide = stored_schema(late.schema, ["at"])
    file = a_file(table, to_stored(late, wide), schema=wide)
    table = table.commit(add=[file], remove=[], properties={}, schema=wide)

    expression = original_expression("at", pa.timestamp("ns"), has_nanoseconds=True)
    assert in_duckdb(local, table, f"select epoch_ns({expression}) from t order by 1") == [(5_000,), (5_001,)]


def test_a_column_that_the_rows_lack_is_null_and_a_value_that_does_not_fit_is_refused() -> None:
    stored = pa.schema([("a", pa.int32()), ("b", pa.string()), ("at__ns", pa.int32())])

    assert to_stored(pa.table({"a": [1]}), stored).to_pylist() == [{"a": 1, "b": None, "at__ns": None}]
    with pytest.raises(pa.ArrowInvalid):
        to_stored(pa.table({"a": [2**31]}), stored)


def test_a_column_whose_name_ends_like_a_companion_is_a_column() -> None:
    table = pa.table({"at__ns": pa.array([5], pa.int64()), "at": pa.array([1_000], pa.timestamp("ns"))})

    assert to_stored(table, stored_schema(table.schema)).column("at__ns").to_pylist() == [5]


def test_moments_with_a_zone_are_kept(local: Warehouse) -> None:
    moment = datetime(2026, 12, 1, 12, tzinfo=UTC)
    rows = pa.table({"at": pa.array([moment], pa.timestamp("us", "UTC"))})
    table = local.create("sample", stored_schema(rows.schema))

    table = table.commit(add=[a_file(table, rows)], remove=[], properties={})

    assert table.schema == rows.schema
    assert rows_of(local, table) == [{"at": moment}]


def test_a_name_with_quotes_is_quoted() -> None:
    assert original_expression('a"b', pa.uint64()) == 'CAST("a""b" AS UBIGINT)'
