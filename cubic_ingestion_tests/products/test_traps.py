"""What went wrong in public with tables like ``__current``, one test each."""

from decimal import Decimal

import pyarrow as pa
import pytest

from cubic_ingestion.products.law import TableLaw
from cubic_ingestion_tests.products.shelf import Shelf
from cubic_ingestion_tests.products.streams import HEADER, mask_of, moment, sequence
from cubic_ingestion_tests.products.told import COMPOUND, a_file, a_load, become, change, values


def test_an_older_update_that_arrives_after_a_newer_one_does_not_win() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1, "note": "load"}),
        a_file(change("U", 2, id=1, amount=3), load_id=10),
        a_file(change("U", 1, id=1, amount=2, note="old"), load_id=11),
    )

    assert values(shelf, "amount", "note") == {1: (3, "old")}


def test_an_update_that_arrives_after_the_delete_does_not_bring_the_row_back() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(change("D", 2, id=1), load_id=10),
        a_file(change("U", 1, id=1, amount=2), load_id=11),
    )

    assert values(shelf) == {}
    assert shelf.orphans() == set()


def test_an_update_after_the_delete_is_an_orphan() -> None:
    shelf = become(a_load({"id": 1, "amount": 1}), a_file(change("D", 1, id=1), change("U", 2, id=1, amount=2)))

    assert (values(shelf), shelf.orphans(), shelf.n_orphans) == ({}, {(10, 2)}, 1)


def test_a_delete_that_arrives_after_the_next_insert_does_not_remove_the_row() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(change("D", 1, id=1), change("I", 3, id=1, amount=3), load_id=10),
        a_file(change("D", 2, id=1), load_id=11),
    )

    assert values(shelf) == {1: 3}


def test_an_orphan_is_applied_when_its_insert_arrives_later() -> None:
    orphan = a_file(change("U", 2, id=1, amount=2), load_id=10)
    insert = a_file(change("I", 1, id=1, amount=1, note="insert"), load_id=11)

    assert become(orphan).orphans() == {(10, 1)}
    shelf = become(orphan, insert)
    assert (values(shelf, "amount", "note"), shelf.orphans()) == ({1: (2, "insert")}, set())


def test_an_equal_sequence_that_arrives_later_is_put_in_its_place() -> None:
    """The file's time decides, not the order of arrival."""
    later = a_file(change("U", 1, id=1, amount=2), minute=2, load_id=10)
    earlier = a_file(change("U", 1, id=1, amount=1), minute=1, load_id=11)

    assert values(become(a_load({"id": 1}), later, earlier)) == {1: 2}


def test_of_files_with_one_time_the_name_decides_and_of_rows_in_one_file_their_number() -> None:
    first = a_file(change("U", 1, id=1, amount=1), change("U", 1, id=1, amount=2, note="a"), name="a", load_id=11)
    second = a_file(change("U", 1, id=1, amount=3), name="b", load_id=10)

    assert values(become(a_load({"id": 1}), first), "amount") == {1: 2}
    assert values(become(a_load({"id": 1}), [second, first]), "amount", "note") == {1: (3, "a")}


def test_several_operations_on_one_key_in_one_file_and_one_second_count_in_their_order() -> None:
    shelf = become(
        a_file(
            change("I", 1, id=1, amount=1),
            change("D", 1, id=1),
            change("I", 1, id=1, amount=3),
            change("U", 1, id=1, note="last"),
        )
    )

    assert values(shelf, "amount", "note") == {1: (3, "last")}


def test_one_file_under_two_names_gives_the_rows_of_one() -> None:
    rows = [change("I", 1, id=1, amount=1), change("U", 2, id=1, amount=2), change("D", 3, id=2)]

    assert values(become(a_file(*rows, load_id=10), a_file(*rows, name="copy", load_id=11))) == {1: 2}


def test_a_file_that_is_restated_after_it_was_applied_leaves_nothing_behind() -> None:
    shelf = become(a_load({"id": 1, "amount": 1}, {"id": 2, "amount": 1}))
    first = a_file(change("U", 1, id=1, amount=2), change("D", 1, id=2), load_id=10)
    restated = a_file(change("U", 1, id=1, note="restated"), load_id=11)

    shelf.step([first])
    shelf.step([restated], [first])

    assert values(shelf, "amount", "note") == {1: (1, "restated"), 2: (1, None)}


def test_a_key_without_an_event_left_has_no_row() -> None:
    shelf = become()
    inserted = a_file(change("I", 1, id=1, amount=1))

    shelf.step([inserted])
    shelf.step([], [inserted])

    assert values(shelf) == {}


def test_a_load_file_that_arrives_after_changes_is_below_them() -> None:
    shelf = become(a_file(change("U", 1, id=1, amount=2)), a_load({"id": 1, "amount": 1, "note": "load"}))

    assert values(shelf, "amount", "note") == {1: (2, "load")}


def test_the_later_load_file_and_then_the_later_row_counts_if_a_key_occurs_twice() -> None:
    shelf = become(
        [
            a_load({"id": 1, "amount": 2}, {"id": 2, "amount": 1}, {"id": 2, "amount": 2}, counter=10, load_id=0),
            a_load({"id": 1, "amount": 1}, counter=9, load_id=1),
            a_load({"id": 1, "amount": 9}, counter=11, load_id=2),
        ]
    )

    assert values(shelf) == {1: 9, 2: 2}
    assert shelf.duplicate_keys() == {(1,), (2,)}


@pytest.mark.parametrize("bad", [change("T", 2, id=2), change("I", None, id=2), change("L", 2, id=2)])
def test_a_load_with_an_unknown_operation_or_without_a_sequence_is_not_applied_at_all(bad: dict[str, object]) -> None:
    shelf = become(
        a_file(change("I", 1, id=1, amount=1), bad, load_id=10), a_file(change("I", 3, id=3, amount=3), load_id=11)
    )

    assert values(shelf) == {3: 3}
    assert shelf.refused == {10}


def test_changes_in_files_older_than_the_snapshot_are_not_folded() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 5}),
        a_file(change("U", 1, id=1, amount=1), minute=1, load_id=10),
        a_file(change("U", 2, id=1, note="after"), minute=2, load_id=11),
        snapshot_at=moment(2),
    )

    assert values(shelf, "amount", "note") == {1: (5, "after")}


class TestValues:
    """What an update supplies."""

    def test_null_in_an_insert_is_a_value_and_in_an_update_it_is_not(self) -> None:
        shelf = become(
            a_load({"id": 1, "amount": 1, "note": "a"}, {"id": 2, "amount": 1, "note": "a"}),
            a_file(
                change("U", 1, id=1, amount=2),
                change("I", 1, id=1, amount=None, note="b"),
                change("U", 1, id=2, amount=None, note="b"),
            ),
        )

        assert values(shelf, "amount", "note") == {1: (None, "b"), 2: (1, "b")}

    def test_null_in_a_full_image_is_a_value(self) -> None:
        shelf = become(
            a_load({"id": 1, "amount": 1, "note": "a"}),
            a_file(change("U", 1, id=1, amount=None, note="b")),
            is_full_image=True,
        )

        assert values(shelf, "amount", "note") == {1: (None, "b")}

    def test_a_column_that_the_file_does_not_have_is_not_supplied_by_a_full_image(self) -> None:
        shelf = become(
            a_load({"id": 1, "amount": 1, "note": "a"}, {"id": 2, "amount": 1, "note": "a"}),
            a_file(change("U", 1, id=1, note="b"), change("I", 1, id=2, note="b")),
            is_full_image=True,
        )

        assert values(shelf, "amount", "note") == {1: (1, "b"), 2: (None, "b")}

    def test_a_mask_says_which_columns_are_supplied(self) -> None:
        columns = (*HEADER, "header__change_mask", "id", "amount", "note")
        mask = mask_of(columns, ["amount"])
        shelf = become(
            a_load({"id": 1, "amount": 1, "note": "a"}),
            a_file(change("U", 1, id=1, amount=None, note="b", header__change_mask=mask), columns=columns),
        )

        assert values(shelf, "amount", "note") == {1: (None, "a")}

    def test_a_mask_may_begin_with_0x_and_need_not_have_zeros_at_its_end(self) -> None:
        columns = (*HEADER, "header__change_mask", "id", "amount", *(f"more_{n}" for n in range(6)), "note")
        shelf = become(a_load({"id": 1, "amount": 1, "note": "a"}))

        shelf.step([a_file(change("U", 1, id=1, header__change_mask="0x20"), columns=columns)])

        assert values(shelf, "amount", "note") == {1: (None, "a")}

    def test_a_mask_without_the_columns_of_its_file_is_refused(self) -> None:
        shelf = become()
        shelf.step([a_file(change("U", 1, id=1, header__change_mask="20"))])

        with pytest.raises(KeyError):
            Shelf.history(_without_columns(shelf), moment(0))


class TestKeys:
    """Keys that are hard to compare."""

    def test_null_in_one_and_in_all_key_columns_is_a_key(self) -> None:
        shelf = become(
            a_load(
                *({"id": number, "part": part, "amount": 1} for number in (1, None) for part in ("a", None)),
            ),
            a_file(
                change("U", 1, id=None, part=None, amount=2),
                change("D", 1, id=1, part=None),
                change("I", 1, id=None, part="a", amount=3),
            ),
            key=("id", "part"),
            types=COMPOUND,
        )

        assert values(shelf) == {(1, "a"): 1, (None, "a"): 3, (None, None): 2}

    def test_keys_with_38_digits_that_differ_in_the_last_are_different(self) -> None:
        high, second, low = Decimal(10**38 - 1), Decimal(10**38 - 2), Decimal(1 - 10**38)
        shelf = become(
            a_load({"id": high, "amount": 1}, {"id": second, "amount": 1}, {"id": low, "amount": 1}),
            a_file(change("U", 1, id=second, amount=2), change("D", 1, id=low)),
            types={"id": pa.decimal128(38, 0), "amount": pa.int64()},
        )

        assert values(shelf) == {high: 1, second: 2}

    def test_text_keys_of_10000_characters_that_differ_in_the_last_are_different(self) -> None:
        long = "x" * 9_999
        shelf = become(
            a_load({"id": long + "a", "amount": 1}, {"id": long + "b", "amount": 1}),
            a_file(change("U", 1, id=long + "b", amount=2), change("I", 1, id=long, amount=3)),
            types={"id": pa.string(), "amount": pa.int64()},
        )

        assert values(shelf) == {long: 3, long + "a": 1, long + "b": 2}

    def test_a_table_may_have_no_column_but_its_key(self) -> None:
        shelf = become(
            a_load({"id": 1}, {"id": 2}),
            a_file(change("D", 1, id=1), change("U", 2, id=2), change("I", 2, id=3)),
            types={"id": pa.int64()},
        )

        assert values(shelf, "header__change_seq") == {2: sequence(2), 3: sequence(2)}


def _without_columns(shelf: Shelf) -> Shelf:
    shelf.law = TableLaw(shelf.law.key, shelf.law.columns)
    return shelf
