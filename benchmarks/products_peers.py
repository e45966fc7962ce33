"""The peers of ``__current``: the same rows and the same changes by ``deltalake``, DuckDB and pyiceberg.

They get net changes, each key once with all its values, which favours them: the project folds these from the changes.
Each is as it comes, with the memory that it takes; a commit, or a checkpoint, is part of the work.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from pyarrow import compute as pc
from pyarrow import dataset
from pyiceberg.catalog.sql import SqlCatalog

OPERATION = "op"
"""Column of the net changes: the last operation of a key."""
_TABLE = "bench.peer"


def create_delta(folder: Path, files: Sequence[str]) -> None:
    """Make a table of some Parquet files, whose order and sizes it keeps."""
    from deltalake import write_deltalake

    rows = dataset.dataset(files).scanner(batch_readahead=1, fragment_readahead=1).to_reader()
    write_deltalake(folder / "delta", rows, target_file_size=64 << 20)


def merge_delta(folder: Path, net: Path) -> Callable[[], object]:
    """Make ready ``MERGE`` as its manual words it."""
    from deltalake import DeltaTable

    table, source = DeltaTable(folder / "delta"), pq.read_table(net)
    merger = (
        table.merge(source, predicate="t.id = s.id", source_alias="s", target_alias="t")
        .when_matched_delete("s.op = 'D'")
        .when_matched_update_all(except_cols=[OPERATION])
        .when_not_matched_insert_all("s.op <> 'D'", except_cols=[OPERATION])
    )
    return merger.execute


def create_duckdb(folder: Path, files: Sequence[str]) -> None:
    """Make a table of DuckDB's own on disk."""
    with duckdb.connect(folder / "peer.duckdb") as connection:
        connection.read_parquet(list(files)).create("peer")


def merge_duckdb(folder: Path, net: Path) -> Callable[[], object]:
    """Make ready ``MERGE INTO``, and the checkpoint that writes the file."""
    connection = duckdb.connect(folder / "peer.duckdb")
    names = [name for name in pq.read_schema(net).names if name != OPERATION]
    pairs, values = ", ".join(f"{name} = s.{name}" for name in names), ", ".join(f"s.{name}" for name in names)
    merge = (
        f"MERGE INTO peer t USING '{net}' s ON t.id = s.id WHEN MATCHED AND s.op = 'D' THEN DELETE "
        f"WHEN MATCHED THEN UPDATE SET {pairs} "
        f"WHEN NOT MATCHED AND s.op <> 'D' THEN INSERT ({', '.join(names)}) VALUES ({values})"
    )

    def run() -> None:
        connection.execute(merge)
        connection.execute("CHECKPOINT")
        connection.close()

    return run


def create_iceberg(folder: Path, files: Sequence[str], max_rows: int) -> None:
    """Make a table of the first rows."""
    catalog = _catalog(folder)
    catalog.create_namespace_if_not_exists("bench")
    rows = dataset.dataset(files).head(max_rows)
    catalog.create_table(_TABLE, rows.schema).append(rows)


def merge_iceberg(folder: Path, net: Path, max_changes: int) -> Callable[[], object]:
    """Prepare ``upsert``. It cannot delete, so it gets the first changes that are not deletes."""
    table, changes = _catalog(folder).load_table(_TABLE), pq.read_table(net)
    changes = changes.filter(pc.not_equal(changes[OPERATION], "D")).drop_columns([OPERATION]).slice(0, max_changes)

    def run() -> None:
        table.upsert(changes.cast(table.schema().as_arrow()), join_cols=["id"])

    return run


def _catalog(folder: Path) -> SqlCatalog:
    return SqlCatalog("bench", uri=f"sqlite:///{folder}/iceberg.sqlite", warehouse=f"file://{folder}/iceberg")
