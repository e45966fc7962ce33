"""What only a DuckDB file does: it is changed while others have it open."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
from cubic_ingestion.errors import CatalogUnavailableError
from cubic_ingestion.ports import CatalogEntry
from cubic_ingestion_tests.builders import a_table

ROOT = Path(__file__).parents[2]

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reader")
if sys.argv[2] == "writer":
    connection.execute("create table mine as select 42 as answer")
for line in sys.stdin:
    print(connection.execute(line).fetchall(), flush=True)
"""

REGISTER = """
import sys
from pathlib import Path
from cubic_ingestion_tests.catalog.test_duckdb_table_catalog import an_entry
from cubic_ingestion.catalog.duckdb_table_catalog import DuckDBTableCatalog
catalog = DuckDBTableCatalog(Path(sys.argv[1]))
sys.stdin.readline()
for number in range(10):
    catalog.register([an_entry(Path(sys.argv[2]), f"{sys.argv[3]}_{number}")])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the catalog is."""
    return tmp_path / "catalog.duckdb"


def an_entry(
    folder: Path, name: str = "cubic__dmap__agg_sample", identifier: str = "1", **columns: list[int]
) -> CatalogEntry:
    """Write a table's Parquet, one row unless columns are given, and return the table as the catalog is told of it."""
    rows = pa.table(columns or {"n": [1]})
    target = folder / name / f"identifier={identifier}" / "part-0.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, target)
    location = (folder / name).as_uri() + "/"
    return CatalogEntry(a_table(name), location, rows.schema, partition_names=("identifier",))


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


@contextmanager
def held_open(path: Path, role: str) -> Generator["Holder"]:
    """Let another process have the file open."""
    with python(HOLD, str(path), role) as process:
        holder = Holder(process)
        holder.ask("select 1")
        yield holder
        process.communicate()


class Holder:
    """Another process that has the file open."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, sql: str) -> str:
        """Let it run a query on the connection it has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(sql + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def test_a_table_is_registered_while_another_process_reads(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path)
    catalog.register([an_entry(tmp_path, "first")])

    with held_open(path, "reader") as reader:
        catalog.register([an_entry(tmp_path, "second")])

        assert query(path, "select n from second") == [(1,)]
        assert reader.ask("select n from first") == "[(1,)]"


def test_a_reader_with_an_open_connection_sees_rows_and_columns_that_come_later(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path)
    catalog.register([an_entry(tmp_path, "sample", "1", a=[1])])

    with held_open(path, "reader") as reader:
        assert reader.ask("select * from sample") == "[(1, '1')]"
        catalog.register([an_entry(tmp_path, "sample", "2", a=[2], b=[3])])

        assert reader.ask("select a, b from sample order by a") == "[(1, None), (2, 3)]"


def test_loads_that_come_later_are_seen_without_registering_again(path: Path, tmp_path: Path) -> None:
    DuckDBTableCatalog(path).register([an_entry(tmp_path, "sample", "1", n=[1])])

    an_entry(tmp_path, "sample", "2", n=[2])

    assert query(path, "select n from sample order by n") == [(1,), (2,)]


def test_a_column_that_a_replay_removed_everywhere_is_gone(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path)
    catalog.register([an_entry(tmp_path, "sample", a=[1], b=[2])])
    catalog.register([an_entry(tmp_path, "sample", a=[3])])

    assert query(path, "select * exclude (identifier) from sample") == [(3,)]


def test_a_connection_of_the_same_process_may_be_open_too(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path)
    catalog.register([an_entry(tmp_path, "first")])

    with duckdb.connect(path, read_only=True) as connection:
        catalog.register([an_entry(tmp_path, "second")])

        assert connection.execute("select n from first").fetchall() == [(1,)]
    assert query(path, "select n from second") == [(1,)]


def test_what_somebody_else_writes_into_the_file_is_kept(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path)
    catalog.register([an_entry(tmp_path, "first")])

    with held_open(path, "writer"):
        catalog.register([an_entry(tmp_path, "second")])
        assert query(path, "select answer from mine") == [(42,)]

    assert query(path, "select answer, n from mine, second") == [(42, 1)]


@pytest.mark.slow
def test_two_processes_that_register_at_once_both_get_in(path: Path, tmp_path: Path) -> None:
    writers = [python(REGISTER, str(path), str(tmp_path), name) for name in ("left", "right")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()

    assert [writer.returncode for writer in writers] == [0, 0]
    assert {name for (name,) in query(path, "select view_name from duckdb_views() where not internal")} == {
        f"{name}_{number}" for name in ("left", "right") for number in range(10)
    }


def test_a_table_that_is_registered_already_costs_no_write(path: Path, tmp_path: Path) -> None:
    entry = an_entry(tmp_path)
    DuckDBTableCatalog(path).register([entry])
    before = path.stat()

    catalog = DuckDBTableCatalog(path)
    catalog.register([entry])
    catalog.register([entry])

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_catalog_that_was_thrown_away_is_made_anew(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path)
    catalog.register([an_entry(tmp_path)])
    path.unlink()

    catalog.register([an_entry(tmp_path)])

    assert query(path, "select n from cubic__dmap__agg_sample") == [(1,)]


def test_what_a_killed_process_left_is_thrown_away(path: Path, tmp_path: Path) -> None:
    path.with_name(path.name + ".draft").write_bytes(b"half")
    path.with_name(path.name + ".draft.wal").write_bytes(b"half")

    DuckDBTableCatalog(path).register([an_entry(tmp_path)])

    assert query(path, "select n from cubic__dmap__agg_sample") == [(1,)]
    assert {entry.name for entry in path.parent.glob("catalog*")} == {"catalog.duckdb", "catalog.duckdb.lock"}


def test_a_lock_that_is_not_given_up_is_worth_another_try(path: Path, tmp_path: Path) -> None:
    catalog = DuckDBTableCatalog(path, lock_timeout_seconds=0.01)

    with FileLock(f"{path}.lock"), pytest.raises(CatalogUnavailableError, match=r"catalog\.duckdb\.lock"):
        catalog.register([an_entry(tmp_path)])


def test_a_file_that_is_no_catalog_is_left_alone(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)

    with pytest.raises(CatalogUnavailableError, match="cubic__dmap__agg_sample"):
        DuckDBTableCatalog(path).register([an_entry(tmp_path)])

    assert path.read_bytes() == b"no database" * 1_000


def test_duckdb_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, cubic_ingestion.catalog.duckdb_table_catalog; sys.exit('duckdb' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("above", ["sample_id=7", "region=us", "load_id=99/env=prod", "identifier=above"])
def test_folders_above_the_table_become_no_columns(path: Path, tmp_path: Path, above: str) -> None:
    DuckDBTableCatalog(path).register([an_entry(tmp_path / above, "sample", "1.csv", sample_id=[1, 2], load_id=[3, 3])])

    assert query(path, "select * from sample order by sample_id") == [(1, 3, "1.csv"), (2, 3, "1.csv")]
    assert query(path, "select column_name, column_type from (describe sample)") == [
        ("sample_id", "BIGINT"),
        ("load_id", "BIGINT"),
        ("identifier", "VARCHAR"),
    ]


def test_files_outside_the_layout_are_in_no_view(path: Path, tmp_path: Path) -> None:
    entry = an_entry(tmp_path, "sample", n=[1])
    pq.write_table(pa.table({"n": [9]}), tmp_path / "sample" / "by_hand.parquet")
    DuckDBTableCatalog(path).register([entry])

    assert query(path, "select n from sample") == [(1,)]


def test_a_filter_on_a_folder_opens_only_its_files(path: Path, tmp_path: Path) -> None:
    entry = [an_entry(tmp_path, "sample", f"{number}.csv", n=[number]) for number in range(9)][-1]
    DuckDBTableCatalog(path).register([entry])

    [[_, plan]] = query(path, "explain analyze select * from sample where identifier = '4.csv'")

    assert "Scanning Files: 1/9" in str(plan)


def test_a_column_of_the_files_may_have_any_name(path: Path, tmp_path: Path) -> None:
    DuckDBTableCatalog(path).register([an_entry(tmp_path, "sample", filename=[1], springboard_file=[2])])

    assert query(path, "select filename, springboard_file, identifier from sample") == [(1, 2, "1")]


def test_a_view_of_an_earlier_release_is_made_anew(path: Path, tmp_path: Path) -> None:
    entry = an_entry(tmp_path / "n=7", "sample", n=[1])
    with duckdb.connect(path) as connection:
        files = f"{tmp_path}/n=7/sample/**/*.parquet"
        connection.execute(f"create view sample as from read_parquet('{files}', hive_partitioning = true)")
        connection.execute(f"comment on view sample is '{entry.location}'")
    assert query(path, "select n from sample") == [(7,)]

    DuckDBTableCatalog(path).register([entry])

    assert query(path, "select n from sample") == [(1,)]
