"""What no kept snapshot needs is removed after its grace period, and nothing else ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cubic_ingestion.ports import Warehouse, WarehouseFile, WarehouseTable
from cubic_ingestion.warehouse import open_in_database
from cubic_ingestion_tests.databases import an_engine
from cubic_ingestion_tests.warehouse.warehouses import SCHEMA, Opening, a_file, filled, ids_of, numbered, reopened

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
GRACE = timedelta(hours=24)
RECORD = "cubic/sample/unneeded.json"


def _nobody() -> tuple[str, ...]:
    return ()


def _keys(warehouse: Warehouse) -> set[str]:
    return {each.key for page in warehouse.bucket.list("") for each in page}


def _swapped(table: WarehouseTable, times: int) -> WarehouseTable:
    for number in range(times):
        table = table.commit(add=[a_file(table, numbered(number))], remove=table.files(), properties={})
    return table


def test_twenty_snapshots_are_kept_and_nothing_that_they_need_is_removed(warehouse: Warehouse) -> None:
    table = _swapped(warehouse.create("sample", SCHEMA), 22)
    kept, needed = reopened(warehouse).snapshots(), warehouse.kept_keys()

    warehouse.clean(NOON, GRACE, _nobody)
    removed = warehouse.clean(NOON + GRACE, GRACE, _nobody)

    assert removed > 2
    assert _keys(warehouse) == set(needed)
    assert kept[-1] == table.snapshot
    assert [ids_of(warehouse, table, snapshot.id) for snapshot in kept] == [[number] for number in range(2, 22)]
    assert ids_of(warehouse, filled(table, numbered(99))) == [21, 99]


def test_a_file_that_left_the_last_kept_snapshot_stays_for_the_grace_period(opening: Opening) -> None:
    """Each step is a process of its own, so the moment survives all of them."""
    warehouse = opening()
    reader = filled(warehouse.create("sample", SCHEMA), numbered(7))
    _swapped(reader, 20)
    (left,) = (file.key for file in reader.files())
    assert left not in warehouse.kept_keys()

    opening().clean(NOON, GRACE, _nobody)
    opening().clean(NOON + GRACE - timedelta(seconds=1), GRACE, _nobody)
    assert ids_of(warehouse, reader) == [7]
    assert warehouse.unneeded_since()[left] == NOON

    opening().clean(NOON + GRACE, GRACE, _nobody)
    assert left not in _keys(warehouse)
    assert left not in warehouse.unneeded_since()


def test_an_uncommitted_file_stays_for_the_grace_period(local: Warehouse) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))
    orphan = a_file(table, numbered(2))

    local.clean(NOON, GRACE, _nobody)
    local.clean(NOON + timedelta(hours=23), GRACE, _nobody)
    assert orphan.key in _keys(local)

    local.clean(NOON + GRACE, GRACE, _nobody)
    assert _keys(local) == set(local.kept_keys())


def test_an_uncommitted_file_of_a_live_lease_stays(local: Warehouse) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))
    file = a_file(table, numbered(2))

    local.clean(NOON, GRACE, lambda: ["sample"])
    local.clean(NOON + 2 * GRACE, GRACE, lambda: ["sample"])

    assert ids_of(local, table.commit(add=[file], remove=[], properties={})) == [1, 2]


def test_what_was_marked_before_is_removed_while_the_table_is_leased(local: Warehouse) -> None:
    _swapped(local.create("sample", SCHEMA), 21)
    local.clean(NOON, GRACE, _nobody)

    assert local.clean(NOON + GRACE, GRACE, lambda: ["sample"]) > 0


def test_a_file_that_is_committed_after_it_was_marked_gets_a_grace_period_of_its_own(local: Warehouse) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))
    file = a_file(table, numbered(2))
    local.clean(NOON, GRACE, _nobody)
    table = table.commit(add=[file], remove=[], properties={})
    local.clean(NOON + timedelta(hours=1), GRACE, _nobody)
    _swapped(table, 21)

    local.clean(NOON + GRACE, GRACE, _nobody)

    assert file.key in _keys(local)
    assert local.unneeded_since()[file.key] == NOON + GRACE


def test_the_files_of_a_table_that_was_dropped_are_removed(warehouse: Warehouse) -> None:
    filled(warehouse.create("other", SCHEMA), numbered(1))
    filled(warehouse.create("sample", SCHEMA), numbered(1))
    warehouse.drop("sample")

    warehouse.clean(NOON, GRACE, _nobody)
    warehouse.clean(NOON + GRACE, GRACE, _nobody)

    assert warehouse.tables() == ["other"]
    assert {key.split("/")[1] for key in _keys(warehouse)} == {"other"}


def test_the_files_of_a_table_in_another_catalog_stay(local: Warehouse, tmp_path: Path) -> None:
    """A wrong database or a new one must not empty the warehouse."""
    table = filled(local.create("sample", SCHEMA), numbered(1))
    with an_engine(f"sqlite:///{tmp_path / 'other.sqlite'}") as engine:
        stranger = open_in_database(local.bucket, engine)
        stranger.clean(NOON, GRACE, _nobody)
        stranger.clean(NOON + GRACE, GRACE, _nobody)

    assert ids_of(local, table) == [1]
    assert _keys(local) >= set(local.kept_keys())


def test_a_table_that_is_created_again_keeps_its_files(local: Warehouse) -> None:
    filled(local.create("sample", SCHEMA), numbered(1))
    local.drop("sample")
    local.clean(NOON, GRACE, _nobody)
    table = filled(local.create("sample", SCHEMA), numbered(2))

    local.clean(NOON + GRACE, GRACE, _nobody)

    assert ids_of(local, table) == [2]


def test_two_cleaners_at_once_do_no_harm(opening: Opening) -> None:
    """The second does all its work while the first asks for the leases, between its listing and its removals."""
    one, two = opening(), opening()
    table = _swapped(one.create("sample", SCHEMA), 2)
    orphan = a_file(table, numbered(9))
    one.clean(NOON, GRACE, _nobody)

    def meanwhile() -> tuple[str, ...]:
        two.clean(NOON + GRACE, GRACE, _nobody)
        return ()

    one.clean(NOON + GRACE, GRACE, meanwhile)

    assert orphan.key not in _keys(one)
    assert _keys(one) - {RECORD} == set(one.kept_keys())
    assert ids_of(one, table) == [1]


def test_a_commit_between_listing_and_removal_is_noticed(local: Warehouse) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))
    file = a_file(table, numbered(2))
    local.clean(NOON, GRACE, _nobody)

    local.clean(NOON + GRACE, GRACE, lambda: _committed(table, file))

    assert ids_of(local, reopened(local)) == [1, 2]


def _committed(table: WarehouseTable, file: WarehouseFile) -> tuple[str, ...]:
    table.commit(add=[file], remove=[], properties={})
    return ()


def test_the_record_of_marks_is_removed_when_it_is_empty(local: Warehouse) -> None:
    _swapped(local.create("sample", SCHEMA), 21)
    local.clean(NOON, GRACE, _nobody)
    assert RECORD in _keys(local)

    local.clean(NOON + GRACE, GRACE, _nobody)

    assert RECORD not in _keys(local)
    assert local.unneeded_since() == {}
