"""``__current`` measured: its first build, merges of recent changes and of changes all over the table, late changes.

All rows come as CSV files with a ``.dfm``, which the platform ingests and merges as in production; folders and SQLite.
Each measurement is in a process of its own. The peers are asked in the same run.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import products_peers as peers
from benchmarks.files import Numbers, write_csv
from benchmarks.own_process import Measured, in_a_process
from benchmarks.products_files import changes, keyed_tables, put_changes, put_load
from benchmarks.project import csv_table, load, open_platform, place
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import StreamName, Table
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.products.steps import Merged
from cubic_ingestion.products.update import UpdateReport, rebuild_product, update_products

N_CHANGES = 100_000
N_LATE = 20
MANY_ROWS = 1_000
N_FILES = 10
MAX_ICEBERG_ROWS, MAX_ICEBERG_CHANGES = 1_000_000, 10_000
"""pyiceberg's ``upsert`` takes minutes for more."""
MEGABYTE = 1_000_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of these measurements."""
    parser.add_argument("--megabytes", type=int, default=200, help="CSV of the first build")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the table that changes are merged into")
    parser.add_argument("--log", type=int, default=1_000_000, help="changes that late ones come after")
    parser.add_argument("--full", action="store_true", help="1 GB of CSV, 10 million rows, 10 million changes")
    parser.add_argument("--only", choices=["build", "merge", "late", "many"], help="one measurement of __current")


def measure(options: argparse.Namespace) -> None:
    """Fill, build, merge, ask the peers and print."""
    if options.full:
        options.megabytes, options.rows, options.log = 1_000, 10_000_000, 10_000_000
    parts: dict[str, Callable[[Path], None]] = {
        "build": partial(_first_build, n_bytes=options.megabytes * MEGABYTE),
        "merge": partial(_merges, n_rows=options.rows),
        "late": partial(_late, n_changes=options.log),
        "many": partial(_many_tables, n_tables=options.tables),
    }
    for name, part in parts.items():
        if options.only in {None, name}:
            with tempfile.TemporaryDirectory(prefix="cubic-current-") as folder:
                part(Path(folder))


def _first_build(home: Path, n_bytes: int) -> None:
    """Ingest LOAD files of 30 columns whose keys are in no order, and build."""
    table = replace(csv_table(), key=("txn_id",))
    tables = [table, Table(f"{table.name}__ct", StreamName.ODS, "cubic/ods_qlik/BENCH.T0__ct/", base=table.name)]
    write_csv(home / "load.csv.gz", n_bytes)
    place(home, table, home / "load.csv.gz")
    ingested, built = in_a_process(_ingest, home, tables), in_a_process(_update, home, tables)
    print(f"first build, {n_bytes / MEGABYTE:,.0f} MB of CSV, one file of 30 columns, unsorted keys")
    _print("ingestion", ingested)
    _print("build", built, f"{built.seconds / ingested.seconds:.2f} x the ingestion; reach 1.5 x, 400 MiB")


def _merges(home: Path, n_rows: int) -> None:
    """Merge recent changes, then changes all over the table, and let the peers do the same."""
    tables, draw = keyed_tables(), np.random.default_rng(3)
    small = _fill(home / "small", tables, n_rows // 10, draw)
    large = _fill(home / "own", tables, n_rows, draw)
    print(f"a table of {n_rows:,} rows")
    _print(f"build of {n_rows // 10:,} rows", small)
    _print(f"build of {n_rows:,} rows", large, f"{large.mib / small.mib:.2f} x the memory; reach 1.10 x")
    files, peer_folder = _files(home / "own", tables), home / "peers"
    peer_folder.mkdir()
    peers.create_delta(peer_folder, files)
    peers.create_duckdb(peer_folder, files)
    peers.create_iceberg(peer_folder, files, MAX_ICEBERG_ROWS)
    first_recent = n_rows * 95 // 100
    recent = np.concatenate([np.arange(n_rows, n_rows + N_CHANGES // 2), _some(draw, first_recent, n_rows)]) * 2
    spread = np.concatenate([_some(draw, 0, n_rows) * 2 + 1, _some(draw, 0, first_recent) * 2])
    for number, (name, ids) in enumerate({"recent": recent, "spread": spread}.items()):
        rows = _one_each(ids, number * N_CHANGES, draw)
        print(f"merge of {rows.num_rows:,} {name} changes into {n_rows:,} rows")
        put_changes(home / "own", tables[1], rows, N_FILES, second=3_600 * (number + 1))
        ours = _merge(home / "own", tables)
        net = home / "net.parquet"
        pq.write_table(_net(rows, pq.read_schema(files[0])), net)
        for peer, merge in (("deltalake MERGE", peers.merge_delta), ("DuckDB MERGE INTO", peers.merge_duckdb)):
            theirs = in_a_process(merge, peer_folder, net)
            _print(peer, theirs, f"{theirs.seconds / ours.seconds:.1f} x as long as __current")
        theirs = in_a_process(peers.merge_iceberg, peer_folder, net, MAX_ICEBERG_CHANGES)
        size = f"{MAX_ICEBERG_CHANGES:,} changes into {min(MAX_ICEBERG_ROWS, n_rows):,} rows"
        _print("pyiceberg upsert", theirs, f"only {size}, no deletes")


def _merge(home: Path, tables: Sequence[Table]) -> Measured:
    in_a_process(_ingest, home, tables)
    log = in_a_process(_update, home, tables, [tables[1].name])
    ours = in_a_process(_update, home, tables)
    rewritten = sum(each.bytes_rewritten for each in ours.result) / MEGABYTE
    _print("__changes before", log)
    _print(
        "__current",
        ours,
        f"{sum(each.n_rows for each in ours.result) / ours.seconds:,.0f} changes/s, {rewritten:.0f} MB rewritten, "
        f"{rewritten / ours.cpu_seconds:.0f} MB/s of one core; reach 30,000 recent changes/s, 40 MB/s spread, 400 MiB",
    )
    return ours


def _one_each(ids: Numbers, first: int, draw: np.random.Generator) -> pa.Table:
    """Draw changes: an insert of each key of the first half, an update or, of one in five, a delete of the others."""
    n_inserts, n_others = len(ids) // 2, len(ids) - len(ids) // 2
    operations = np.array(["I"] * n_inserts + ["U"] * (n_others - n_others // 5) + ["D"] * (n_others // 5))
    order = draw.permutation(len(ids))
    return changes(ids[order], operations[order], first, draw)


def _late(home: Path, n_changes: int) -> None:
    """Let changes come that precede all others in a log of pairs of a before-image and an update."""
    tables, draw, n_rows = keyed_tables(), np.random.default_rng(5), max(n_changes // 10, 1_000)
    put_load(home, tables[0], draw.permutation(n_rows) * 2, draw)
    step = min(n_changes, 500_000)
    for number in range(n_changes // step):
        ids = np.repeat(draw.integers(0, n_rows, step // 2) * 2, 2)
        rows = changes(ids, ["B", "U"] * (step // 2), N_CHANGES + number * step, draw)
        pairs = rows["header__change_seq"].take(pa.array(np.arange(step) // 2 * 2))
        put_changes(home, tables[1], rows.set_column(0, "header__change_seq", pairs), 5, second=7_200 + number * 5)
    in_a_process(_ingest, home, tables)
    in_a_process(_update, home, tables, [tables[1].name])
    built = in_a_process(_update, home, tables)
    late = changes(_some(draw, 0, n_rows)[:N_LATE] * 2, ["U"] * N_LATE, 1, draw)
    put_changes(home, tables[1], late, 1, second=1)
    in_a_process(_ingest, home, tables)
    log, ours = in_a_process(_update, home, tables, [tables[1].name]), in_a_process(_update, home, tables)
    print(f"{N_LATE} late changes into a log of {n_changes:,} and a table of {n_rows:,} rows; half are before-images")
    _print("first build", built, f"{n_changes / built.seconds:,.0f} changes/s")
    _print("__changes", log)
    _print("__current", ours, "reach 10 s, 400 MiB")
    _print("rebuild", in_a_process(_rebuild, home, tables))


def _many_tables(home: Path, n_tables: int) -> None:
    """Give many tables a few changes each."""
    draw, pairs = np.random.default_rng(9), [keyed_tables(number) for number in range(n_tables)]
    tables = [table for pair in pairs for table in pair]
    for base, _ in pairs:
        put_load(home, base, np.arange(MANY_ROWS), draw)
    for number in (1, 2):  # the first pass builds
        for _, log in pairs:
            rows = changes(draw.permutation(MANY_ROWS)[:N_LATE], ["U"] * N_LATE, number * N_LATE, draw)
            put_changes(home, log, rows, 1, second=3_600 * number)
        in_a_process(_ingest, home, tables)
        measured = in_a_process(_update, home, tables)
        name = "first pass" if number == 1 else "one pass"
        print(f"{n_tables} tables with {MANY_ROWS:,} rows and {N_LATE} changes each: __changes and __current")
        _print(name, measured, f"{n_tables / measured.seconds:.1f} tables/s; reach 8 tables/s")


def _fill(home: Path, tables: Sequence[Table], n_rows: int, draw: np.random.Generator) -> Measured:
    """Ingest LOAD files with even keys in no order; returns what the build took."""
    put_load(home, tables[0], draw.permutation(n_rows) * 2, draw)
    in_a_process(_ingest, home, tables)
    shutil.rmtree(home / "incoming", ignore_errors=True)
    return in_a_process(_update, home, tables)


def _some(draw: np.random.Generator, low: int, high: int) -> Numbers:
    """Draw half of the changes' keys, each once."""
    return low + draw.choice(high - low, min(N_CHANGES // 2, high - low), replace=False)


def _net(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return changes of different keys in the columns of ``__current``, with their operation."""
    constants = {"load_id": pa.scalar(0, pa.int64()), "snapshot": pa.scalar("20220301T000000Z")}
    columns = [
        pa.repeat(constants[field.name], rows.num_rows)
        if field.name in constants
        else rows[field.name].cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays([*columns, rows["header__change_oper"]], [*schema.names, peers.OPERATION])


def _files(home: Path, tables: Sequence[Table]) -> list[str]:
    platform = open_platform(home, list(tables))
    table = platform.warehouse.open(f"{tables[0].name}__current")
    return [
        platform.warehouse.bucket.uri(file.key).removeprefix("file://") for file in (table.files() if table else ())
    ]


def _ingest(home: Path, tables: Sequence[Table]) -> Callable[[], int]:
    return partial(load, open_platform(home, list(tables)))


def _update(
    home: Path, tables: Sequence[Table], names: Collection[str] | None = None
) -> Callable[[], Sequence[Merged]]:
    """Make ready an update of the products of some tables, or of all."""
    platform = _ready(home, tables)
    return lambda: _done(update_products(platform, names, run_id="bench"))


def _rebuild(home: Path, tables: Sequence[Table]) -> Callable[[], Sequence[Merged]]:
    platform, product = _ready(home, tables), products_of(tables)[tables[0].name]
    return lambda: _done(rebuild_product(platform, product, run_id="bench"))


def _ready(home: Path, tables: Sequence[Table]) -> Platform:
    platform = open_platform(home, list(tables))
    platform.warehouse.open("nothing")  # loads pyiceberg
    return platform


def _done(report: UpdateReport) -> Sequence[Merged]:
    if report.refused:
        raise SystemExit(f"It would be no measurement: {report.refused}")
    return report.merged


def _print(name: str, measured: Measured, remark: str = "") -> None:
    print(
        f"  {name}: {measured.seconds:.2f} s, {measured.cpu_seconds:.2f} s of processor time, {measured.mib:.0f} MiB"
        f"{'; ' if remark else ''}{remark}",
        flush=True,
    )
