"""Net changes: what they are, how they are applied to row groups, and that the types of values stay."""

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cubic_ingestion.products.apply import apply, cut
from cubic_ingestion.products.fold import (
    KIND,
    ORPHANS,
    ORPHANS_IF_ABSENT,
    SUPPLIED,
    fold_keys,
    in_key_order,
    moved_keys,
    net_changes,
)
from cubic_ingestion.products.law import TableLaw
from cubic_ingestion_tests.products.interpreter import Row
from cubic_ingestion_tests.products.shelf import EVENT_TYPES, STAMP_TYPES
from cubic_ingestion_tests.products.streams import moment, sequence
from cubic_ingestion_tests.products.told import TYPES, change

LAW = TableLaw(["id"], list(TYPES))


def test_the_net_change_of_a_key_says_what_it_does_and_which_columns_it_supplies() -> None:
    net = net_changes(
        LAW,
        _events(
            change("U", 1, id=1, amount=1),
            change("I", 1, id=2, note="a"),
            change("U", 2, id=2, amount=2),
            change("U", 1, id=3, amount=1),
            change("D", 2, id=3),
            change("U", 3, id=3, amount=1),
            change("B", 1, id=4),
        ),
    )

    assert net.select(["id", "amount", "note", KIND, ORPHANS, ORPHANS_IF_ABSENT]).to_pylist() == [
        _net(1, 1, None, "overlay", 0, 1),
        _net(2, 2, "a", "image", 0, 0),
        _net(3, None, None, "removed", 1, 1),
    ]
    assert pc.struct_field(net[SUPPLIED], "note").to_pylist() == [False, True, False]
    assert net["header__change_seq"].to_pylist() == [sequence(1), sequence(2), None]


def test_the_keys_that_rows_move_between_are_found_before_their_rows_are_looked_up() -> None:
    events = _events(change("B", 1, id=1), change("U", 1, id=2), change("B", 1, id=3), change("U", 1, id=3))

    assert moved_keys(LAW, events)["id"].to_pylist() == [1, 2]


def test_a_row_that_moves_within_a_batch_is_taken_from_the_rows_before_it() -> None:
    events = _events(change("B", 1, id=1), change("U", 1, id=2, note="b"))
    net = net_changes(LAW, events, _rows({"id": 1, "amount": 1}))

    assert net.select(["id", "amount", "note", KIND]).to_pylist() == [
        {"id": 1, "amount": None, "note": None, KIND: "removed"},
        {"id": 2, "amount": 1, "note": "b", KIND: "image"},
    ]


def test_net_changes_are_applied_to_the_rows_that_they_concern_and_keep_the_order() -> None:
    rows = _rows(*({"id": number, "amount": number, "note": "old"} for number in range(2, 10, 2)))
    events = _events(
        change("I", 1, id=1, amount=10),
        change("U", 1, id=2, amount=20),
        change("D", 1, id=4),
        change("I", 1, id=6, amount=60),
        change("U", 1, id=7, amount=70),
        change("I", 1, id=9, amount=90),
        change("D", 1, id=11),
    )
    applied = apply(rows, net_changes(LAW, events), LAW.key)

    assert applied.rows.select(list(TYPES)).to_pylist() == [
        {"id": 1, "amount": 10, "note": None},
        {"id": 2, "amount": 20, "note": "old"},
        {"id": 6, "amount": 60, "note": None},
        {"id": 8, "amount": 8, "note": "old"},
        {"id": 9, "amount": 90, "note": None},
    ]
    assert applied.n_orphans == 1


def test_net_changes_are_cut_by_the_first_keys_of_row_groups() -> None:
    net = net_changes(LAW, _events(*(change("D", 1, id=number) for number in range(1, 8))))
    pieces = cut(net, pa.table({"id": [3, 5, 6]}), LAW.key)

    assert [piece["id"].to_pylist() for piece in pieces] == [[1, 2, 3, 4], [5], [6, 7]]


def test_a_key_that_is_folded_again_and_has_no_row_is_removed() -> None:
    keys = pa.table({"id": [1, 2, 2]})
    refolded = fold_keys(LAW, _events(change("U", 1, id=1, amount=1)), _rows(), keys)

    assert refolded.select(["id", KIND, ORPHANS, ORPHANS_IF_ABSENT]).to_pylist() == [
        {"id": 1, KIND: "removed", ORPHANS: 1, ORPHANS_IF_ABSENT: 0},
        {"id": 2, KIND: "removed", ORPHANS: 0, ORPHANS_IF_ABSENT: 0},
    ]


def test_net_changes_of_different_keys_are_united_in_key_order() -> None:
    one, two = (net_changes(LAW, _events(change("D", 1, id=number))) for number in (2, 1))

    assert in_key_order(LAW, one, two)["id"].to_pylist() == [1, 2]


def test_values_of_every_type_of_the_warehouse_stay_as_they_are() -> None:
    samples: dict[str, tuple[pa.DataType, Any]] = {
        "b": (pa.bool_(), True),
        "i": (pa.int32(), -(2**31)),
        "f": (pa.float32(), 0.1),
        "d": (pa.float64(), 0.1),
        "n": (pa.decimal128(38, 10), Decimal("1234567890123456789012345678.0123456789")),
        "u": (pa.decimal128(20, 0), Decimal(2**64 - 1)),
        "t": (pa.timestamp("us"), datetime(1, 1, 1)),  # noqa: DTZ001 - no zone
        "c": (pa.time64("us"), time(23, 59, 59, 999_999)),
        "a": (pa.date32(), date(9999, 12, 31)),
        "s": (pa.string(), "\x00😀"),
        "x": (pa.binary(), b"\xff"),
    }
    types = {"id": pa.int64()} | {name: kind for name, (kind, _) in samples.items()}
    law = TableLaw(["id"], list(types))
    sample = {name: pa.scalar(value, kind).as_py() for name, (kind, value) in samples.items()}
    rows = _rows({"id": 1}, {"id": 3, **sample}, types=types)
    events = _events(change("U", 1, id=1, **sample), change("I", 1, id=2, **sample), types=types)
    applied = apply(rows, net_changes(law, events), law.key).rows

    assert applied.schema == rows.schema
    assert [{name: row[name] for name in samples} for row in applied.to_pylist()] == [sample] * 3


def test_a_row_group_without_rows_takes_its_first_rows() -> None:
    net = net_changes(LAW, _events(change("I", 1, id=1, amount=1), change("U", 1, id=2, amount=1)))
    applied = apply(_rows(), net, LAW.key)

    assert (applied.rows["id"].to_pylist(), applied.n_orphans) == ([1], 1)


def _events(*rows: Row, types: Mapping[str, pa.DataType] = TYPES) -> pa.Table:
    whole = [
        row | {"load_id": 10, "source_at": moment(1), "identifier": "file", "row_number": number}
        for number, row in enumerate(rows, start=1)
    ]
    return pa.Table.from_pylist(whole, pa.schema({**types} | EVENT_TYPES))


def _rows(*rows: Row, types: Mapping[str, pa.DataType] = TYPES) -> pa.Table:
    return pa.Table.from_pylist([row | {"load_id": 0} for row in rows], pa.schema({**types} | STAMP_TYPES))


def _net(key: int, amount: int | None, note: str | None, kind: str, n_orphans: int, n_if_absent: int) -> Row:
    counts = {ORPHANS: n_orphans, ORPHANS_IF_ABSENT: n_if_absent}
    return {"id": key, "amount": amount, "note": note, KIND: kind} | counts
