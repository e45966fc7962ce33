"""Files are swapped in one commit, or not at all, whatever happens meanwhile."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.errors import CommitConflictError, SettingsError
from cubic_ingestion.ports import PartitionField, Warehouse, WarehouseFile, WarehouseTable
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.warehouse import open_in_glue
from cubic_ingestion_tests.warehouse.warehouses import (
    SCHEMA,
    Opening,
    a_file,
    filled,
    ids_of,
    in_duckdb,
    numbered,
    reopened,
)


def test_a_new_table_is_empty(warehouse: Warehouse) -> None:
    assert warehouse.open("sample") is None

    table = warehouse.create("sample", SCHEMA)

    assert (table.name, table.schema, table.snapshot, table.files(), table.snapshots()) == (
        "sample",
        SCHEMA,
        None,
        [],
        [],
    )
    assert warehouse.tables() == ["sample"]


def test_a_table_is_created_once(opening: Opening) -> None:
    opening().create("sample", SCHEMA)

    with pytest.raises(CommitConflictError, match=r"'sample'.*it exists already"):
        opening().create("sample", SCHEMA)


def test_a_commit_swaps_files_and_names_its_merge(warehouse: Warehouse) -> None:
    first = warehouse.create("sample", SCHEMA)
    kept, old = a_file(first, numbered(1)), a_file(first, numbered(2, 3))
    second = first.commit(add=[kept, old], remove=[], properties={"cubic.merge": "1"})
    new = a_file(second, numbered(4))
    third = second.commit(add=[new], remove=[old], properties={"cubic.merge": "2", "cubic.kind": "compaction"})

    seen = reopened(warehouse)

    assert third.snapshot is not None
    assert third.snapshot == seen.snapshot
    assert third.snapshot.properties == {"cubic.merge": "2", "cubic.kind": "compaction"}
    assert third.snapshot.parent_id == (second.snapshot and second.snapshot.id)
    assert {*third.files()} == {*seen.files()} == {kept, new}
    assert ids_of(warehouse, seen) == [1, 4]


def test_a_commit_without_files_records_its_properties(warehouse: Warehouse) -> None:
    table = filled(warehouse.create("sample", SCHEMA), numbered(1))

    empty = table.commit(add=[], remove=[], properties={"cubic.merge": "2"})

    assert empty.snapshot is not None
    assert empty.snapshot.properties == {"cubic.merge": "2"}
    assert empty.files() == table.files()


def test_the_last_file_can_be_removed_and_the_table_filled_again(warehouse: Warehouse) -> None:
    table = filled(warehouse.create("sample", SCHEMA), numbered(1))

    empty = table.commit(add=[], remove=table.files(), properties={})
    again = filled(empty, numbered(2))

    assert empty.files() == []
    assert ids_of(warehouse, again) == [2]


def test_of_two_writers_the_second_is_refused_and_changes_nothing(opening: Opening) -> None:
    one = opening()
    table = filled(one.create("sample", SCHEMA), numbered(1))
    mine, theirs = reopened(one), reopened(opening())
    old = table.files()
    lost = a_file(mine, numbered(3))
    theirs.commit(add=[a_file(theirs, numbered(2))], remove=old, properties={})

    with pytest.raises(CommitConflictError, match="'sample'"):
        mine.commit(add=[lost], remove=old, properties={})

    assert ids_of(one, reopened(one)) == [2]


def test_an_append_of_a_writer_that_lost_the_race_is_refused_too(opening: Opening) -> None:
    one = opening()
    filled(one.create("sample", SCHEMA), numbered(1))
    mine, theirs = reopened(one), reopened(opening())
    filled(theirs, numbered(2))

    with pytest.raises(CommitConflictError):
        filled(mine, numbered(2))

    assert ids_of(one, reopened(one)) == [1, 2]


def test_of_two_first_commits_the_second_is_refused(opening: Opening) -> None:
    one = opening()
    mine = one.create("sample", SCHEMA)
    filled(reopened(opening()), numbered(1))

    with pytest.raises(CommitConflictError):
        filled(mine, numbered(2))

    assert ids_of(one, reopened(one)) == [1]


def test_a_file_of_the_refused_commit_can_be_committed_to_the_table_as_it_is_now(warehouse: Warehouse) -> None:
    mine = warehouse.create("sample", SCHEMA)
    file = a_file(mine, numbered(2))
    filled(reopened(warehouse), numbered(1))
    with pytest.raises(CommitConflictError):
        mine.commit(add=[file], remove=[], properties={})

    table = reopened(warehouse).commit(add=[file], remove=[], properties={})

    assert ids_of(warehouse, table) == [1, 2]


def test_a_commit_to_a_table_that_was_dropped_or_created_again_is_refused(warehouse: Warehouse) -> None:
    mine = filled(warehouse.create("sample", SCHEMA), numbered(1))
    warehouse.drop("sample")
    warehouse.drop("sample")

    with pytest.raises(CommitConflictError):
        filled(mine, numbered(2))
    warehouse.create("sample", SCHEMA)
    with pytest.raises(CommitConflictError):
        filled(mine, numbered(2))

    assert reopened(warehouse).files() == []


class Killed(BaseException):
    """What no code catches: the process ends here."""


def test_a_writer_that_is_killed_leaves_the_table_as_it_was(warehouse: Warehouse) -> None:
    table = filled(warehouse.create("sample", SCHEMA), numbered(1))

    with pytest.raises(Killed):
        _killed_while_writing(table)
    with pytest.raises(Killed):
        _killed_between_files_and_commit(table)

    assert ids_of(warehouse, reopened(warehouse)) == [1]
    assert ids_of(warehouse, filled(reopened(warehouse), numbered(3))) == [1, 3]


def _killed_while_writing(table: WarehouseTable) -> None:
    with table.writer() as writer:
        writer.write(numbered(2))
        raise Killed


def _killed_between_files_and_commit(table: WarehouseTable) -> None:
    a_file(table, numbered(2))
    raise Killed


def test_a_file_that_was_not_closed_is_not_in_the_bucket(warehouse: Warehouse) -> None:
    table = warehouse.create("sample", SCHEMA)
    with table.writer() as writer:
        writer.write(numbered(1))

    assert [*warehouse.bucket.list("cubic/sample/data/")] in ([], [()])


def test_a_reader_of_an_old_snapshot_reads_on_while_files_are_swapped(warehouse: Warehouse) -> None:
    reader = filled(warehouse.create("sample", SCHEMA), numbered(1, 2))
    table = reader
    for number in range(3, 6):
        table = table.commit(add=[a_file(table, numbered(number))], remove=table.files(), properties={})
        assert ids_of(warehouse, reader) == [1, 2]

    assert reader.snapshot is not None
    assert ids_of(warehouse, table) == [5]
    assert ids_of(warehouse, table, reader.snapshot.id) == [1, 2]


def test_partition_values_are_kept(warehouse: Warehouse) -> None:
    schema = pa.schema([("snapshot", pa.string()), ("source_at", pa.timestamp("us"))])
    parts = [PartitionField("snapshot", "identity"), PartitionField("source_at", "month")]
    table = warehouse.create("changes", schema, parts)
    rows = pa.table({"snapshot": ["S"], "source_at": pa.array([0], pa.timestamp("us"))}, schema=schema)
    nothing = pa.table({"snapshot": [None], "source_at": [None]}, schema=schema)
    files = [a_file(table, rows, ("S", 0)), a_file(table, rows, ("T", -1)), a_file(table, nothing, (None, None))]

    table = table.commit(add=files, remove=[], properties={})
    assert sorted(map(str, table.files())) == sorted(map(str, files))

    table = table.commit(add=[], remove=[files[1], files[2]], properties={})
    assert table.files() == [files[0]]


def test_a_large_file_has_row_groups_that_need_little_memory(local: Warehouse) -> None:
    table = local.create("sample", SCHEMA)
    rows = pa.table({"sample_id": range(300_000), "sample_name": ["x" * 200] * 300_000}, schema=SCHEMA)
    with table.writer() as writer:
        for batch in rows.to_batches(max_chunksize=1_000):
            writer.write(batch)
        file = writer.close(footer={"cubic.first": "[0]"})

    with local.bucket.open(file.key) as opened:
        footer = pq.read_metadata(opened)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    assert (file.n_rows, footer.num_rows) == (300_000, 300_000)
    assert all(64_000 <= group.num_rows <= 128 * 1024 for group in groups[:-1])
    assert max(group.num_rows * 208 for group in groups) <= 32 << 20
    assert {group.column(0).compression for group in groups} == {"ZSTD"}
    assert footer.metadata is not None
    assert footer.metadata[b"cubic.first"] == b"[0]"


def test_wide_rows_come_in_smaller_row_groups(local: Warehouse) -> None:
    table = local.create("sample", SCHEMA)
    rows = pa.table({"sample_id": range(10_000), "sample_name": ["x" * 10_000] * 10_000}, schema=SCHEMA)

    file = a_file(table, rows)

    with local.bucket.open(file.key) as opened:
        footer = pq.read_metadata(opened)
    assert footer.num_row_groups == 3
    assert footer.num_rows == 10_000


def test_duckdb_reads_the_list_of_files(local: Warehouse) -> None:
    table = filled(filled(local.create("sample", SCHEMA), numbered(1)), numbered(2))

    assert in_duckdb(local, table, "select sample_id from t order by 1") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("properties", "words"), [({"merge": "1"}, "'merge' does not begin with 'cubic.'"), ({}, "nowhere.parquet")]
)
def test_a_commit_that_makes_no_sense_is_refused(local: Warehouse, properties: dict[str, str], words: str) -> None:
    table = filled(local.create("sample", SCHEMA), numbered(1))
    stranger = WarehouseFile("cubic/sample/data/nowhere.parquet", 1, 1)

    with pytest.raises(ValueError, match=words):
        table.commit(add=[], remove=[stranger], properties=properties)

    assert reopened(local).snapshots() == table.snapshots()


def test_a_snapshot_that_is_not_kept_is_refused(local: Warehouse) -> None:
    with pytest.raises(ValueError, match="Snapshot 7 of 'sample' is not kept"):
        local.create("sample", SCHEMA).files(7)


def test_a_glue_table_of_local_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CUBIC_WAREHOUSE_URL: The tables of Glue must be in S3"):
        open_in_glue(LocalObjectStore(tmp_path), "cubic", lambda _: nullcontext())


def test_processes_that_open_an_empty_warehouse_at_once_all_succeed(opening: Opening) -> None:
    at_once = Barrier(4)

    def opened(_: int) -> Sequence[str]:
        at_once.wait()
        return opening().tables()

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(opened, range(4))] == [[]] * 4
    opening().create("sample", SCHEMA)
