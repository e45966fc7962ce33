"""Versions of rows: which there are, and that they tile per key."""

import pyarrow as pa

from cubic_ingestion_tests.products.shelf import as_versions
from cubic_ingestion_tests.products.streams import DAY, moment, sequence
from cubic_ingestion_tests.products.told import a_file, a_load, become, change

SNAPSHOT = DAY


def test_a_row_has_a_version_since_the_load_and_one_per_change() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(change("U", 1, minute=1, id=1, amount=2), change("D", 2, minute=2, id=1)),
    )

    assert shelf.history(SNAPSHOT).to_pylist() == [
        _version(1, None, 1, 0, 1),
        _version(2, 1, 2, 1, 2),
    ]


def test_changes_of_one_key_that_share_a_sequence_give_one_version() -> None:
    shelf = become(
        a_file(
            change("I", 1, minute=1, id=1, amount=1),
            change("D", 1, minute=1, id=1),
            change("I", 1, minute=2, id=1, amount=2),
            change("U", 2, minute=3, id=1, amount=3),
            change("D", 2, minute=3, id=1),
        )
    )

    assert shelf.history(SNAPSHOT).to_pylist() == [_version(2, 1, 2, 2, 3)]


def test_times_never_decrease_so_that_the_versions_of_a_key_tile() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 0}),
        a_file(
            change("U", 1, minute=5, id=1, amount=1),
            change("U", 2, minute=3, id=1, amount=2),
            change("U", 3, minute=None, id=1, amount=3),
            change("U", 4, minute=7, id=1, amount=4),
        ),
    )

    found = as_versions(shelf.history(SNAPSHOT), shelf.law)
    assert [each.from_time for each in found] == [DAY, moment(5), moment(5), moment(5), moment(7)]
    assert [each.to_time for each in found] == [moment(5), moment(5), moment(5), moment(7), None]
    assert [each.to_seq for each in found[:-1]] == [each.from_seq for each in found[1:]]


def test_what_has_no_effect_gives_no_version() -> None:
    shelf = become(
        a_file(change("U", 1, id=1, amount=1), change("D", 2, id=1), change("B", 3, id=2)),
        a_file(change("B", 4, id=3), change("U", 4, id=3, amount=1), load_id=11),
    )

    assert shelf.history(SNAPSHOT).num_rows == 0


def test_a_delete_without_row_and_a_before_image_do_not_touch_the_times_of_a_row() -> None:
    shelf = become(
        a_file(
            change("D", 1, minute=9, id=1),
            change("I", 2, minute=1, id=1, amount=1),
            change("B", 3, minute=9, id=1, amount=1),
        )
    )

    assert shelf.history(SNAPSHOT).to_pylist() == [_version(1, 2, None, 1, None)]


def test_a_move_ends_a_version_of_the_old_key_and_begins_one_of_the_new() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}, {"id": 2, "amount": 2}),
        a_file(change("B", 1, minute=1, id=1), change("U", 1, minute=1, id=2)),
    )

    assert shelf.history(SNAPSHOT).to_pylist() == [
        _version(1, None, 1, 0, 1),
        _version(2, None, 1, 0, 1, key=2),
        _version(1, 1, None, 1, None, key=2),
    ]


def test_null_is_the_key_of_a_row_that_moves_to_it() -> None:
    shelf = become(a_load({"id": 1, "amount": 1}), a_file(change("B", 1, id=1), change("U", 1, id=None)))

    assert shelf.history(SNAPSHOT)["id"].to_pylist() == [1, None]


def test_history_has_the_types_of_its_sources() -> None:
    kinds = dict(zip(become().history(SNAPSHOT).schema.names, become().history(SNAPSHOT).schema.types, strict=True))

    assert kinds == {"id": pa.int64(), "amount": pa.int64(), "note": pa.string()} | {
        "valid_from_seq": pa.string(),
        "valid_to_seq": pa.string(),
        "valid_from": pa.timestamp("us"),
        "valid_to": pa.timestamp("us"),
    }


def _version(
    amount: int, from_seq: int | None, to_seq: int | None, from_minute: int, to_minute: int | None, key: int = 1
) -> dict[str, object]:
    return {
        "id": key,
        "amount": amount,
        "note": None,
        "valid_from_seq": None if from_seq is None else sequence(from_seq),
        "valid_to_seq": None if to_seq is None else sequence(to_seq),
        "valid_from": moment(from_minute),
        "valid_to": None if to_minute is None else moment(to_minute),
    }
