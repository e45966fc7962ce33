"""Rows that an update with a before-image moves from one key to another."""

from cubic_ingestion_tests.products.told import COMPOUND, a_file, a_load, become, change, values


def test_a_row_moves_to_its_new_key() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1, "note": "a"}),
        a_file(change("B", 1, id=1, amount=1), change("U", 1, id=2, note="b")),
    )

    assert values(shelf, "amount", "note") == {2: (1, "b")}


def test_a_row_moves_if_the_pair_is_cut_into_two_files_and_two_merges() -> None:
    before = a_file(change("B", 1, id=1), minute=1, load_id=10)
    after = a_file(change("U", 1, id=2), minute=2, load_id=11)
    load = a_load({"id": 1, "amount": 1})

    for steps in ([load, before, after], [load, after, before], [after, before, load], [load, [after, before]]):
        assert values(become(*steps)) == {2: 1}


def test_a_row_with_a_compound_key_moves_if_one_column_changes() -> None:
    shelf = become(
        a_load({"id": 1, "part": "a", "amount": 1}, {"id": 1, "part": None, "amount": 2}),
        a_file(change("B", 1, id=1, part="a"), change("U", 1, id=1, part="b")),
        a_file(change("B", 2, id=1, part=None), change("U", 2, id=None, part=None), load_id=11),
        key=("id", "part"),
        types=COMPOUND,
    )

    assert values(shelf) == {(1, "b"): 1, (None, None): 2}


def test_a_row_that_moves_replaces_the_row_of_its_new_key() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}, {"id": 2, "amount": 2, "note": "gone"}),
        a_file(change("B", 1, id=1), change("U", 1, id=2)),
    )

    assert values(shelf, "amount", "note") == {2: (1, None)}


def test_a_row_may_move_onto_a_deleted_key_and_its_late_delete_does_not_matter() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}, {"id": 2, "amount": 2}),
        a_file(change("B", 2, id=1), change("U", 2, id=2), load_id=10),
        a_file(change("D", 1, id=2), load_id=11),
    )

    assert values(shelf) == {2: 1}


def test_a_row_that_is_not_there_moves_as_the_image_before() -> None:
    shelf = become(a_file(change("B", 1, id=1, amount=1, note="a"), change("U", 1, id=2, note="b")))

    assert values(shelf, "amount", "note") == {2: (1, "b")}
    assert shelf.orphans() == set()


def test_a_pair_with_one_key_is_a_plain_update() -> None:
    shelf = become(a_file(change("B", 1, id=1, amount=1), change("U", 1, id=1, note="b")))

    assert (values(shelf), shelf.orphans()) == ({}, {(10, 2)})


def test_a_before_image_without_update_has_no_effect() -> None:
    shelf = become(a_load({"id": 1, "amount": 1}), a_file(change("B", 1, id=1, amount=7), change("B", 2, id=2)))

    assert values(shelf) == {1: 1}


def test_an_update_before_its_before_image_is_no_pair() -> None:
    shelf = become(a_load({"id": 1, "amount": 1}), a_file(change("U", 1, id=2), change("B", 1, id=1)))

    assert (values(shelf), shelf.orphans()) == ({1: 1}, {(10, 1)})


def test_a_before_image_of_another_sequence_is_no_pair() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(change("B", 1, id=1), change("U", 2, id=2), change("B", 2, id=3)),
    )

    assert values(shelf) == {1: 1}
    assert shelf.orphans() == {(10, 2)}


def test_updates_without_before_image_do_not_disturb_the_pairs_of_the_next_sequence() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(
            *(change("U", 1, id=9), change("U", 1, id=9), change("B", 1, id=8)),
            *(change("U", 2, id=9), change("B", 2, id=1), change("U", 2, id=2), change("U", 2, id=3)),
        ),
    )

    assert values(shelf) == {2: 1}
    assert shelf.orphans() == {(10, 1), (10, 2), (10, 4), (10, 7)}


def test_an_update_of_the_old_key_after_the_move_is_an_orphan() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(change("B", 1, id=1), change("U", 1, id=2), change("U", 2, id=1, amount=2)),
    )

    assert values(shelf) == {2: 1}
    assert shelf.orphans() == {(10, 3)}


def test_each_update_takes_the_nearest_before_image_that_is_left() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}, {"id": 2, "amount": 2}),
        a_file(change("B", 1, id=1), change("B", 1, id=2), change("U", 1, id=12), change("U", 1, id=11)),
    )

    assert values(shelf) == {11: 1, 12: 2}


def test_a_late_before_image_takes_the_update_of_another() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}, {"id": 2, "amount": 2}),
        [
            a_file(change("B", 1, id=1), minute=1, load_id=10),
            a_file(change("U", 1, id=3), minute=3, load_id=11),
        ],
        a_file(change("B", 1, id=2), minute=2, load_id=12),
    )

    assert values(shelf) == {1: 1, 3: 2}


def test_a_row_follows_a_chain_of_moves_and_two_rows_swap_keys() -> None:
    chain = [change("B", 1, id=1), change("U", 1, id=2), change("B", 2, id=2), change("U", 2, id=3)]
    swap = [*_move(3, 3, 9), *_move(4, 5, 3), *_move(5, 9, 5)]
    load = a_load({"id": 1, "amount": 1}, {"id": 5, "amount": 5})

    assert values(become(load, a_file(*chain))) == {3: 1, 5: 5}
    assert values(become(load, a_file(*chain, *swap))) == {3: 5, 5: 1}


def test_a_late_update_of_the_first_key_of_a_chain_reaches_the_last() -> None:
    shelf = become(
        a_load({"id": 1, "amount": 1}),
        a_file(*_move(2, 1, 2), load_id=10),
        a_file(*_move(3, 2, 3), load_id=11),
        a_file(change("U", 1, id=1, note="late"), load_id=12),
    )

    assert values(shelf, "amount", "note") == {3: (1, "late")}


def _move(seq: int, old: int, new: int) -> list[dict[str, object]]:
    return [change("B", seq, id=old), change("U", seq, id=new)]
