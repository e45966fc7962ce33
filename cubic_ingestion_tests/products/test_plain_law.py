"""The proof's own law and the reference interpreter agree on drawn streams."""

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings

from cubic_ingestion.products.plain_law import PlainLaw, Row, order_of, origin_of, plain_rows
from cubic_ingestion_tests.products.interpreter import ChangeFile, Generation, LoadFile, interpret
from cubic_ingestion_tests.products.streams import Stream, streams

pytestmark = pytest.mark.slow
_EXTRA = ("header__change_mask",)


def changes_of(generation: Generation, refused: set[int]) -> list[Row]:
    """Return the changes that are applied, in the total order, as the log has them."""
    rows = [
        _as_logged(generation, file, number, row)
        for file in generation.changes
        if file.load_id not in refused and _is_of(generation.snapshot_at, file)
        for number, row in enumerate(file.rows, start=1)
    ]
    return sorted(rows, key=lambda row: (row["header__change_seq"], row["time"], row["name"], row["row_number"]))


def _as_logged(generation: Generation, file: ChangeFile, number: int, row: Row) -> Row:
    own = {name: row.get(name) for name in (*generation.columns, *_EXTRA)}
    return row | own | {"load_id": file.load_id, "row_number": number, "time": file.time, "name": file.name}


def _is_of(snapshot_at: datetime | None, file: ChangeFile) -> bool:
    return snapshot_at is None or file.time >= snapshot_at


def load_rows(generation: Generation, files: list[LoadFile]) -> list[Row]:
    stamps = {"header__change_seq": None, "header__timestamp": None}
    return [
        {name: row.get(name) for name in generation.columns} | stamps | {"load_id": file.load_id}
        for file in files
        for row in file.rows
    ]


@settings(max_examples=300)
@given(streams())
def test_changes_one_by_one_give_the_rows_of_the_law(stream: Stream) -> None:
    generation, expected = stream.generation, interpret(stream.generation)
    files = {file.load_id: file.columns for file in generation.changes}
    law = PlainLaw(generation.key, generation.columns, generation.is_full_image, files)
    changes = changes_of(generation, expected.refused_loads)
    befores = {
        origin_of(update): before
        for before, update in law.moves(row for row in changes if row["header__change_oper"] in {"B", "U"})
    }
    loads = sorted(generation.loads, key=lambda file: (file.time, file.counter))
    rows = {law.key_of(row): row for row in load_rows(generation, loads)}

    law.fold(rows, changes, befores)

    assert rows == expected.rows


def test_values_that_are_equal_in_a_column_are_equal_in_python() -> None:
    moments = pa.array([1_646_388_000_000_000_001, None], pa.timestamp("ns"))
    rates = pa.array([float("nan"), float("nan")])
    (first, second), again = plain_rows(pa.table({"at": moments, "rate": rates})), float("nan")
    assert first == {"at": 1_646_388_000_000_000_001, "rate": first["rate"]}
    assert (second["at"], second["rate"] is first["rate"], first["rate"] is again) == (None, True, False)
    in_order = sorted([(None,), (first["rate"],), (2.0,), (-1.0,)], key=order_of)
    assert in_order == [(-1.0,), (2.0,), (first["rate"],), (None,)]
