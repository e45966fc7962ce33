"""DuckDB, Arrow and the engine put keys of all types in one order."""

import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubic_ingestion.products.key_order import lower_bound, same_keys, sort_positions

IN_ORDER: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int64(), [-(2**63), -1, 0, 2**63 - 1]),
    (pa.decimal128(38, 0), [Decimal(1 - 10**38), Decimal(-1), Decimal(0), Decimal(10**38 - 2), Decimal(10**38 - 1)]),
    (pa.decimal128(20, 4), [Decimal("-1.0001"), Decimal("0.0000"), Decimal("0.0001"), Decimal(2), Decimal(10)]),
    (pa.string(), ["", "\x00", "A", "Z", "a", "a\x00", "ab", "x" * 10_000 + "a", "x" * 10_000 + "b", "é", "￿", "😀"]),
    (pa.binary(), [b"", b"\x00", b"a", b"\xff"]),
    (pa.bool_(), [False, True]),
    (pa.float64(), [-math.inf, -1.0, 0.0, 5e-324, math.inf, math.nan]),
    (pa.float32(), [-math.inf, -1.0, 0.0, math.inf, math.nan]),
    (pa.date32(), [date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)]),
    (pa.timestamp("us"), [datetime(1, 1, 1), datetime(1969, 12, 31, 23), datetime(9999, 12, 31)]),  # noqa: DTZ001 - no zone
    (pa.time64("us"), [time(0), time(23, 59, 59, 999_999)]),
]
"""Types that a key column may have in the warehouse, with values in the order of keys."""
IDS = [str(kind) for kind, _ in IN_ORDER]


@pytest.mark.parametrize(("kind", "values"), IN_ORDER, ids=IDS)
def test_arrow_and_duckdb_sort_keys_alike_and_null_last(kind: pa.DataType, values: list[Any]) -> None:
    shuffled = np.random.default_rng(7).permutation(len(values) + 1).tolist()
    table = pa.table({"number": shuffled, "id": pa.array([[*values, None][number] for number in shuffled], kind)})
    expected = list(range(len(values) + 1))

    with duckdb.connect() as connection:
        rows = connection.from_arrow(table).order("id NULLS LAST").project("number").fetchall()

    assert [number for (number,) in rows] == expected
    assert table.take(sort_positions(table, ["id"]))["number"].to_pylist() == expected


@pytest.mark.parametrize(("kind", "values"), IN_ORDER, ids=IDS)
def test_a_search_finds_each_key_and_the_place_of_each_key_that_is_missing(
    kind: pa.DataType, values: list[Any]
) -> None:
    every = pa.table({"id": pa.array([*values, None], kind)})
    other = every.take(list(range(1, len(values) + 1, 2)))
    place, found = lower_bound(other, every, ["id"])

    assert place.tolist() == [number // 2 for number in range(len(values) + 1)]
    assert found.tolist() == [number % 2 == 1 for number in range(len(values) + 1)]


def test_negative_zero_is_the_same_key_as_zero() -> None:
    rows, keys = pa.table({"id": [-0.0]}), pa.table({"id": [0.0]})

    assert lower_bound(rows, keys, ["id"])[1].tolist() == [True]


@given(
    st.lists(st.tuples(*[st.sampled_from([1, 2, None])] * 2), unique=True),
    st.lists(st.tuples(*[st.sampled_from([1, 2, None])] * 2), unique=True),
)
def test_compound_keys_count_from_left_to_right(rows: list[tuple[Any, ...]], keys: list[tuple[Any, ...]]) -> None:
    ordered = sorted(rows, key=_rank)
    place, found = lower_bound(_table(ordered), _table(keys), ["a", "b"])

    assert _table(rows).take(sort_positions(_table(rows), ["a", "b"])) == _table(ordered)
    assert place.tolist() == [sum(_rank(row) < _rank(key) for row in ordered) for key in keys]
    assert found.tolist() == [key in rows for key in keys]


def test_keys_are_compared_pair_by_pair() -> None:
    left, right = _table([(1, None), (1, 2), (None, None)]), _table([(1, None), (1, None), (None, 1)])

    assert same_keys(left, right, ["a", "b"]).tolist() == [True, False, False]


def _table(keys: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table({name: pa.array([key[at] for key in keys], pa.int64()) for at, name in enumerate("ab")})


def _rank(key: tuple[Any, ...]) -> tuple[float, ...]:
    return tuple(math.inf if part is None else part for part in key)
