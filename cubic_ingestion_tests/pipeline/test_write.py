"""Typed batches to one Parquet file, published at once."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cubic_ingestion.pipeline import write as writing
from cubic_ingestion.pipeline.encode import Encoder
from cubic_ingestion.pipeline.write import PREVIEW_CHARACTERS, PREVIEW_ROWS, Written, write
from cubic_ingestion.storage.local_object_store import LocalObjectStore

SCHEMA = pa.schema([("id", pa.int64()), ("kind", pa.string()), ("name", pa.string())])
KEY = "cubic/t/part-0.parquet"


def batches(n_batches: int, n_rows: int = 10) -> Iterator[pa.RecordBatch]:
    """Make batches with ids from 0, a column that repeats and one that does not."""
    for first in range(0, n_batches * n_rows, n_rows):
        ids = list(range(first, first + n_rows))
        names = [f"name {number}" for number in ids]
        yield pa.RecordBatch.from_arrays([pa.array(ids), pa.array(["a"] * n_rows), pa.array(names)], schema=SCHEMA)


@pytest.fixture
def springboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalObjectStore:
    """Make a bucket, and row groups of 20 rows."""
    monkeypatch.setattr(writing, "ROW_GROUP_ROWS", 20)
    return LocalObjectStore(tmp_path)


def written(springboard: LocalObjectStore, n_batches: int) -> tuple[Written, pq.ParquetFile]:
    outcome = write(springboard, KEY, SCHEMA, batches(n_batches), load_id=7)
    assert outcome is not None
    with springboard.open(KEY) as file:
        return outcome, pq.ParquetFile(pa.BufferReader(file.read()))


def encoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "encode"]


@pytest.mark.parametrize(("n_batches", "sizes"), [(0, []), (1, [10]), (2, [20]), (3, [20, 10]), (10, [20] * 5)])
def test_every_row_is_written_in_order_in_row_groups(
    springboard: LocalObjectStore, n_batches: int, sizes: list[int]
) -> None:
    outcome, parquet = written(springboard, n_batches)
    assert [parquet.metadata.row_group(at).num_rows for at in range(parquet.num_row_groups)] == sizes
    rows = parquet.read()
    assert rows["id"].to_pylist() == list(range(10 * n_batches))
    assert rows["load_id"].to_pylist() == [7] * 10 * n_batches
    assert (outcome.n_rows, outcome.preview["id"].to_pylist()) == (rows.num_rows, rows["id"].to_pylist()[:PREVIEW_ROWS])
    assert encoders() == []


def test_a_preview_has_the_beginning_of_long_texts(springboard: LocalObjectStore) -> None:
    texts = ["é" * 5_000, None, "short"]
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 3]), pa.array(["a"] * 3), pa.array(texts)], schema=SCHEMA)
    outcome = write(springboard, KEY, SCHEMA, iter([batch]), load_id=7)
    assert outcome is not None
    assert outcome.preview["name"].to_pylist() == ["é" * PREVIEW_CHARACTERS, None, "short"]
    with springboard.open(KEY) as file:
        assert pq.ParquetFile(pa.BufferReader(file.read())).read()["name"].to_pylist() == texts


def test_a_preview_does_not_hold_its_row_group(springboard: LocalObjectStore) -> None:
    outcome = write(springboard, KEY, SCHEMA, batches(1, n_rows=10_000))
    assert outcome is not None
    ids = outcome.preview["id"].combine_chunks()
    assert outcome.preview["id"].num_chunks == 1
    assert sum(buffer.size for buffer in ids.buffers() if buffer) < 1000


def test_only_columns_that_repeat_have_a_dictionary_and_texts_no_statistics(springboard: LocalObjectStore) -> None:
    write(springboard, KEY, SCHEMA, batches(1, n_rows=1_000), load_id=1)
    write(springboard, "few.parquet", SCHEMA, batches(1, n_rows=100), load_id=1)
    many, few = (columns_of(springboard, key) for key in (KEY, "few.parquet"))
    assert {name for name, column in many.items() if column.has_dictionary_page} == {"kind", "load_id"}
    assert {name for name, column in many.items() if column.is_stats_set} == {"id", "load_id"}
    assert not any(column.has_dictionary_page for column in few.values())


def columns_of(springboard: LocalObjectStore, key: str) -> dict[str, pq.ColumnChunkMetaData]:
    with springboard.open(key) as file:
        group = pq.ParquetFile(file).metadata.row_group(0)
        return {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}


def threads_of(n_batches: int, springboard: LocalObjectStore) -> set[str]:
    """Write, and return the threads that were there while batches were read."""
    seen: set[str] = set()

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in batches(n_batches):
            yield batch
            seen.update(encoders())

    write(springboard, KEY, SCHEMA, watched())
    return seen


def test_a_thread_encodes_only_where_there_is_more_than_one_row_group(springboard: LocalObjectStore) -> None:
    assert threads_of(2, springboard) == set()
    assert threads_of(10, springboard) == {"encode"}


@pytest.mark.parametrize("n_before", [0, 1, 3, 20])
def test_nothing_is_published_and_no_thread_left_if_reading_fails(springboard: LocalObjectStore, n_before: int) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from batches(n_before)
        raise LookupError

    with pytest.raises(LookupError):
        write(springboard, KEY, SCHEMA, failing())
    assert springboard.head(KEY) is None
    assert encoders() == []


def test_a_single_row_group_starts_no_thread(springboard: LocalObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("cubic_ingestion.pipeline.encode.Thread")
    assert written(springboard, 2)[0].n_rows == 20


@pytest.mark.parametrize("n_batches", [1, 3, 5, 21])
def test_what_goes_wrong_with_the_last_row_group_is_raised_to_the_caller(
    springboard: LocalObjectStore, n_batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table = pq.ParquetWriter.write_table

    def fail(parquet: pq.ParquetWriter, group: pa.Table, row_group_size: int) -> None:
        if group.num_rows == 10:
            raise LookupError
        write_table(parquet, group, row_group_size)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(LookupError):
        write(springboard, KEY, SCHEMA, batches(n_batches))
    assert springboard.head(KEY) is None


@pytest.mark.parametrize("n_batches", [1, 3, 4, 20])
def test_what_goes_wrong_while_encoding_is_raised_to_the_caller(
    springboard: LocalObjectStore, n_batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_encoder: Encoder, _group: pa.Table) -> None:
        raise LookupError

    monkeypatch.setattr(Encoder, "_encode", fail)
    with pytest.raises(LookupError):
        write(springboard, KEY, SCHEMA, batches(n_batches))
    assert springboard.head(KEY) is None
    assert encoders() == []


def test_nothing_is_published_without_leave(springboard: LocalObjectStore) -> None:
    assert write(springboard, KEY, SCHEMA, batches(10), may_publish=lambda: False) is None
    assert springboard.head(KEY) is None
