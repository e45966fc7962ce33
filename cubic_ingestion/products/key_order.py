"""The order of keys, which the files of ``__current`` are sorted by, and searches in it.

One order holds in DuckDB (``ORDER BY … NULLS LAST``), in Arrow and here: numbers, decimals, dates and times by value,
``false`` before ``true``, text and binary by bytes (UTF-8), NaN after all numbers, NULL last. NULL equals NULL, NaN
equals NaN, and ``-0.0`` equals ``0.0``. The columns of a compound key count from left to right.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.arrays import Flags, Positions, Values, as_flags


def sort_positions(table: pa.Table, columns: Sequence[str]) -> Positions:
    """Return the positions that put a table in the order of some columns."""
    # The stubs of pyarrow do not know the third element.
    sort_keys = cast("Any", [(column, "ascending", "at_end") for column in columns])
    return pc.sort_indices(table.select(columns), sort_keys=sort_keys).to_numpy()


def same_keys(left: pa.Table, right: pa.Table, key: Sequence[str]) -> Flags:
    """Say of each row whether its key is the same in two tables of the same length."""
    same = np.ones(left.num_rows, bool)
    for column in key:
        same &= _compare(left[column], right[column])[1]
    return same


def lower_bound(rows: pa.Table, keys: pa.Table, key: Sequence[str]) -> tuple[Positions, Flags]:
    """Search keys in rows that are sorted by key.

    The search is binary for all keys at once: its time depends on the number of keys, and hardly on that of the rows.

    Returns:
        For each key the number of rows before it, and whether the row at that position has the key.
    """
    rows, keys = rows.select(key).combine_chunks(), keys.select(key)
    low = np.zeros(keys.num_rows, np.int64)
    high = np.full(keys.num_rows, rows.num_rows, np.int64)
    while (is_open := low < high).any():
        middle = (low + high) // 2
        is_less = _is_less(rows.take(np.minimum(middle, max(rows.num_rows - 1, 0))), keys, key)
        low = np.where(is_open & is_less, middle + 1, low)
        high = np.where(is_open & ~is_less, middle, high)
    found = low < rows.num_rows
    if rows.num_rows:
        found &= same_keys(rows.take(np.minimum(low, rows.num_rows - 1)), keys, key)
    return low, found


def is_increasing(rows: pa.Table, key: Sequence[str]) -> bool:
    """Say whether rows are in key order and no two have the same key."""
    keys = rows.select(key)
    return rows.num_rows == 0 or bool(_is_less(keys.slice(0, rows.num_rows - 1), keys.slice(1), key).all())


def _is_less(left: pa.Table, right: pa.Table, key: Sequence[str]) -> Flags:
    less, same = np.zeros(left.num_rows, bool), np.ones(left.num_rows, bool)
    for column in key:
        is_less, is_same = _compare(left[column], right[column])
        less |= same & is_less
        same &= is_same
    return less


def _compare(left: Values, right: Values) -> tuple[Flags, Flags]:
    """Say of each pair of values whether the left is less, and whether both are the same."""
    left_rank, right_rank = _rank(left), _rank(right)
    is_value = (left_rank == 0) & (right_rank == 0)
    less = np.where(is_value, as_flags(pc.less(left, right)), left_rank < right_rank)
    return less, (left_rank == right_rank) & (~is_value | as_flags(pc.equal(left, right)))


def _rank(values: Values) -> npt.NDArray[np.int8]:
    """Return 0 for a value, 1 for NaN, 2 for NULL."""
    ranks = np.where(as_flags(pc.is_null(values)), 2, 0)
    if pa.types.is_floating(values.type):
        ranks += as_flags(pc.is_nan(values))
    return ranks.astype(np.int8)
