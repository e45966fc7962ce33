"""This project's own way: a platform on folders and SQLite, and real loads on it, up to their record in the ledger."""

import gzip
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from benchmarks.files import EVENT
from cubic_ingestion.bootstrap import build
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.pipeline.ingest import ingest
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.passes import scan
from cubic_ingestion.pipeline.write import write_load
from cubic_ingestion.settings import Settings

Work = Callable[[Path, list[int], Barrier, Barrier], None]


def open_platform(home: Path, tables: list[Table]) -> Platform:
    """Build the platform of a home for some tables; files count as whole at once."""
    platform = build(Settings(home=home, settle_seconds=0))  # pyright: ignore[reportCallIssue] - defaults
    return replace(platform, tables={table.name: table for table in tables})


def csv_table(number: int = 0, *, typed: bool = True) -> Table:
    """Declare an ODS table, all text if it is not typed."""
    prefix = f"cubic/ods_qlik/BENCH.T{number}/"
    return Table(f"cubic__ods_qlik__bench_t{number}", StreamName.ODS, prefix, is_raw=not typed)


def json_table() -> Table:
    """Declare the table of events."""
    columns = tuple(Column(name, kind) for name, kind in EVENT.items())
    return Table("cubic__kafka__bench", StreamName.KAFKA, "cubic/kafka/bench/", columns)


def place(home: Path, table: Table, source: Path, number: int = 1) -> None:
    """Let a file and its sidecar land in Incoming, as links."""
    folder = home / "incoming" / table.prefix
    folder.mkdir(parents=True, exist_ok=True)
    if table.stream is StreamName.KAFKA:
        os.link(source, folder / f"batch{number}.json")
        return
    os.link(source, folder / f"LOAD{number:08d}.csv.gz")
    os.link(source.with_name(source.name.removesuffix(".csv.gz") + ".dfm"), folder / f"LOAD{number:08d}.dfm")


def load(platform: Platform) -> int:
    """Register, plan and ingest all that lies in Incoming; return the rows written.

    Raises:
        SystemExit: A load was not ingested; it would be no measurement.
    """
    for stream in {table.stream for table in platform.tables.values()}:
        scan(platform, stream)
    return sum(ingest_table(platform, table) for table in platform.tables.values())


def ingest_table(platform: Platform, table: Table) -> int:
    """Ingest the ready loads of one table; return the rows written."""
    report = ingest(platform, table, partial(write_load, platform.stores.springboard), run_id=f"bench-{os.getpid()}")
    if report.rejected or report.released:
        raise SystemExit(f"Loads were not ingested: {report.rejected[:1] or report.released[:1]}")
    return sum(ingested.n_rows for _, ingested in report.ingested)


def ingest_some(home: Path, numbers: list[int], ready: Barrier, done: Barrier) -> None:
    """Be one of the workers on small files: ingest some tables."""
    tables = [csv_table(number) for number in numbers]
    platform = open_platform(home, tables)
    ready.wait()
    for table in tables:
        ingest_table(platform, table)
    done.wait()


def convert_some(home: Path, numbers: list[int], ready: Barrier, done: Barrier) -> None:
    """Be one of the workers of the bare loop: pyarrow reads each file and writes it, and nothing else."""
    ready.wait()
    for number in numbers:
        out = home / "bare" / str(number)
        out.mkdir(parents=True)
        for path in (home / "incoming" / csv_table(number).prefix).glob("*.csv.gz"):
            data = pa.py_buffer(gzip.decompress(path.read_bytes()))
            rows = csv.read_csv(pa.BufferReader(data), parse_options=csv.ParseOptions(newlines_in_values=True))
            parquet.write_table(rows, out / f"{path.name}.parquet", compression="zstd", compression_level=1)
    done.wait()


def in_workers(work: Work, home: Path, n_tables: int, n_workers: int) -> float:
    """Share tables among processes that are up and running; return the seconds they take."""
    spawn = get_context("spawn")
    ready, done = spawn.Barrier(n_workers + 1), spawn.Barrier(n_workers + 1)
    shares = [list(range(first, n_tables, n_workers)) for first in range(n_workers)]
    workers = [spawn.Process(target=work, args=(home, share, ready, done), daemon=True) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait(timeout=120)
    started = time.perf_counter()
    done.wait(timeout=600)
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return seconds
