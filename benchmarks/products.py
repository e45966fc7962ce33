"""``make products``: many small loads as one table: merging them, and asking that table instead of Springboard.

Everything is in local folders and on SQLite. A merge is in a process of its own, so that its peak of memory is its own;
the peers are asked in the same run: the view over one file per load, and one file with the same rows. What concerns
``__current`` is measured by ``products_current``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.files import write_json
from benchmarks.own_process import Measured, in_a_process
from benchmarks.products_current import add_options, measure
from benchmarks.project import ingest_table, json_table, open_platform, place
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.catalog import catalog
from cubic_ingestion.pipeline.passes import scan
from cubic_ingestion.products.update import update_products

LOAD_ROWS = 20
N_LATE = 20
REPEATS = 5
QUESTIONS = {"count": "count(*)", "filter": "count(*) filter (row_number = 7)"}


def main(arguments: Sequence[str]) -> None:
    """Fill, merge, ask and print."""
    parser = argparse.ArgumentParser(prog="make products", description=__doc__)
    parser.add_argument("--loads", type=int, default=10_000, help="small loads of one table")
    parser.add_argument("--tables", type=int, default=200, help="tables with a few loads each")
    parser.add_argument("--merges", type=int, default=300, help="merges in a row")
    add_options(parser)
    options = parser.parse_args(arguments)
    if options.only is None:
        _measure_logs(options)
    measure(options)


def _measure_logs(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="cubic-products-") as folder:
        source = Path(folder) / "events.json"
        write_json(source, LOAD_ROWS)
        _one_table(Path(folder) / "one", source, options.loads)
        _many_tables(Path(folder) / "many", source, options.tables)
        _many_merges(Path(folder) / "merges", source, options.merges)


def _one_table(home: Path, source: Path, n_loads: int) -> None:
    _deliver(home, [json_table()], source, range(1, n_loads + 1))
    print(f"{n_loads:,} loads of {LOAD_ROWS} rows in one table")
    _print_merge("first merge", n_loads, in_a_process(_merge, home))
    _deliver(home, [json_table()], source, range(n_loads + 1, n_loads + N_LATE + 1))
    _print_merge(f"{N_LATE} more loads", N_LATE, in_a_process(_merge, home))
    _ask(home)


def _ask(home: Path) -> None:
    table = json_table()
    product = products_of([table])[table.name]
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as connection:
        one = home / "one.parquet"
        connection.sql(f"from {product.name}").write_parquet(str(one), compression="zstd")
        for name, question in QUESTIONS.items():
            ways = {"product": product.name, "one file": f"'{one}'", "Springboard": table.catalog_name}
            if name == "filter":  # Springboard has no row numbers
                ways.pop("Springboard")
            seconds = {way: _median(connection, f"select {question} from {place}") for way, place in ways.items()}
            ratios = ", ".join(
                f"{way} {each * 1000:.1f} ms ({each / seconds['product']:.2f} x)" for way, each in seconds.items()
            )
            print(f"  {name}: {ratios}; reach: at most 1.3 x one file, 100 x faster than Springboard", flush=True)


def _median(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    seconds: list[float] = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        connection.sql(sql).fetchall()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _many_tables(home: Path, source: Path, n_tables: int) -> None:
    tables = _numbered(n_tables)
    _deliver(home, tables, source, [1])
    in_a_process(_merge, home, n_tables)
    _deliver(home, tables, source, [2])
    measured = in_a_process(_merge, home, n_tables)
    rate = n_tables / measured.seconds
    print(f"{n_tables} tables with a load of {LOAD_ROWS} rows each, in one pass", flush=True)
    print(f"  {measured.seconds:.1f} s, {rate:.1f} tables/s, {measured.mib:.0f} MiB; reach 8 tables/s", flush=True)


def _many_merges(home: Path, source: Path, n_merges: int) -> None:
    """Merge one load at a time."""
    table = json_table()
    platform = open_platform(home, [table])
    milliseconds: list[float] = []
    for number in range(1, n_merges + 1):
        _deliver(home, [table], source, [number])
        started = time.perf_counter()
        update_products(platform, run_id="bench")
        milliseconds.append((time.perf_counter() - started) * 1000)
    tenth = max(n_merges // 10, 1)
    first, last = statistics.median(milliseconds[1 : tenth + 1]), statistics.median(milliseconds[-tenth:])
    print(f"{n_merges} merges of one load, in a row", flush=True)
    print(f"  {first:.0f} ms at first, {last:.0f} ms at last: {last / first:.2f} x", flush=True)


def _numbered(n_tables: int) -> list[Table]:
    columns = json_table().columns
    return [
        Table(f"cubic__kafka__bench{number}", StreamName.KAFKA, f"cubic/kafka/bench{number}/", columns)
        for number in range(n_tables)
    ]


def _deliver(home: Path, tables: Sequence[Table], source: Path, numbers: Sequence[int] | range) -> None:
    """Ingest the same file again and again, under names of its own, and tell the catalog."""
    platform = open_platform(home, list(tables))
    for table in tables:
        for number in numbers:
            place(home, table, source, number)
    scan(platform, StreamName.KAFKA)
    for table in tables:
        ingest_table(platform, table)
    catalog(platform, list(platform.tables), run_id="bench")


def _merge(home: Path, n_tables: int = 0) -> Callable[[], object]:
    return partial(_merged, home, n_tables)


def _merged(home: Path, n_tables: int) -> int:
    tables = _numbered(n_tables) if n_tables else [json_table()]
    report = update_products(open_platform(home, tables), run_id="bench")
    if report.refused:
        raise SystemExit(f"It would be no measurement: {report.refused}")
    return sum(merged.n_loads for merged in report.merged)


def _print_merge(name: str, n_loads: int, measured: Measured) -> None:
    print(
        f"  {name}: {measured.seconds:.1f} s, {n_loads / measured.cpu_seconds:,.0f} loads a second of one core, "
        f"{measured.mib:.0f} MiB; "
        "reach 1,500 loads/s, 400 MiB",
        flush=True,
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
