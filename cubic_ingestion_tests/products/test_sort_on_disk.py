"""Rows of any number are sorted range by range, and the files of the ranges are removed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cubic_ingestion.products.key_order import sort_positions
from cubic_ingestion.products.sort_on_disk import SAMPLES_PER_RANGE, SortOnDisk
from cubic_ingestion.products.workspace import Workspace, open_workspace

BY = ("part", "id")
N_ROWS = 5_000


def some_rows(n_rows: int = N_ROWS) -> pa.Table:
    """Draw rows with compound keys in no order; keys occur more than once, and NULL occurs in both columns."""
    draw = np.random.default_rng(7)
    numbers, parts = draw.integers(-n_rows, n_rows, n_rows), draw.integers(0, 5, n_rows)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64(), mask=numbers % 11 == 0),
            "part": pa.array(["", "a", "é", "😀", None]).take(pa.array(parts.tolist(), pa.int64())),
            "row_number": pa.array(np.arange(n_rows)),
        }
    )


def pieces_of(rows: pa.Table) -> Iterator[pa.Table]:
    return (rows.slice(start, 700) for start in range(0, rows.num_rows, 700))


@pytest.mark.parametrize("n_ranges", [1, 2, 9])
def test_rows_come_in_the_order_of_keys_whatever_the_number_of_ranges(tmp_path: Path, n_ranges: int) -> None:
    rows = some_rows()
    sample = rows.slice(0, n_ranges * SAMPLES_PER_RANGE)
    sort = SortOnDisk(tmp_path, rows.schema, BY, BY)

    found = list(sort.rows(pieces_of(rows), sample, n_ranges, piece_rows=300))

    together, expected = pa.concat_tables(found), rows.take(sort_positions(rows, BY))
    assert together.select(BY).equals(expected.select(BY))
    assert set(together["row_number"].to_pylist()) == set(range(N_ROWS))
    assert together.num_rows == N_ROWS
    assert max(each.num_rows for each in found) <= 300
    assert list(tmp_path.iterdir()) == []


def test_each_range_has_a_small_part_of_the_rows(tmp_path: Path) -> None:
    rows = some_rows()
    sort = SortOnDisk(tmp_path, rows.schema, ["id"], ["id"])

    pieces = sort.rows(pieces_of(rows), rows.slice(0, 9 * SAMPLES_PER_RANGE), 9, piece_rows=N_ROWS)

    assert max(each.num_rows for each in pieces) < 2 * N_ROWS / 9


def test_no_rows_give_no_piece(tmp_path: Path) -> None:
    rows = some_rows(0)

    assert list(SortOnDisk(tmp_path, rows.schema, BY, BY).rows(iter([]), rows, 1, piece_rows=300)) == []


def test_one_key_in_all_rows_is_one_range(tmp_path: Path) -> None:
    rows = pa.table({"id": pa.nulls(N_ROWS, pa.int64()), "row_number": pa.array(np.arange(N_ROWS))})

    found = list(SortOnDisk(tmp_path, rows.schema, ["id"], ["id"]).rows(pieces_of(rows), rows.slice(0, 640), 9, 300))

    assert sum(each.num_rows for each in found) == N_ROWS


def test_a_workspace_sorts_by_moments_in_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cubic_ingestion.products.workspace.RANGE_BYTES", 4_000)
    moments = np.random.default_rng(5).permutation(N_ROWS)
    rows = pa.table({"at": pa.array(moments, pa.timestamp("ns")), "other": pa.array(moments)})
    with open_workspace() as workspace:
        found = stored_and_sorted(workspace, rows)

    assert found["at"].cast(pa.int64()).to_pylist() == list(range(N_ROWS))
    assert found["other"].to_pylist() == list(range(N_ROWS))


def stored_and_sorted(workspace: Workspace, rows: pa.Table) -> pa.Table:
    workspace.store("moments", rows.schema, iter([rows]))
    return pa.concat_tables(list(workspace.sorted_rows("moments", ["at"])))
