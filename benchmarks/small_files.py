"""Many small files: how many loads a second ``cubic ingest``, and sensors with the daemon, bring to Archive.

The kinds are mixed as production has them: of 300 tables 140 are ODS base tables, 140 their change tables, 14 DMAP
and 6 Kafka. The peer is a bare loop over the same files in the same run: pyarrow reads each and writes it as Parquet,
with no ledger, no checks, no Dagster and no archive. It bounds what any tool could reach.
"""

import argparse
import gzip
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pyarrow.json
from pyarrow import csv, parquet

ROOT = Path(__file__).parent.parent
ROWS = 20
TIMEOUT_SECONDS = 1800
COLUMNS = ("ID", "NAME", "AMOUNT", "UPDATED")
TYPES = ("INT4", "STRING", "NUMERIC", "DATETIME")


def main(arguments: Sequence[str]) -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=300, help="how many tables")
    parser.add_argument("--files", type=int, default=20, help="files a table")
    parser.add_argument("--ways", nargs="+", choices=["bare", "ingest", "daemon"], default=["bare", "ingest", "daemon"])
    options = parser.parse_args(arguments)
    n_loads = options.tables * options.files
    print(f"{options.tables} tables, {options.files} files each, {ROWS} rows a file: {n_loads} loads")
    seconds: dict[str, float] = {}
    for way in options.ways:
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home)
            generate(folder, options.tables, options.files)
            seconds[way], remark = {"bare": bare, "ingest": ingest, "daemon": daemon}[way](folder, n_loads)
        rate = n_loads / seconds[way]
        ratio = f", {seconds['bare'] / seconds[way]:.2f} of bare" if "bare" in seconds else ""
        print(f"{way:>7}: {seconds[way]:7.1f} s  {rate:7.1f} loads/s  {rate * 60:8.0f} loads/min{ratio}  {remark}")


def generate(folder: Path, n_tables: int, n_files: int) -> None:
    """Write declarations to ``tables`` and files to ``files``."""
    (folder / "tables").mkdir()
    entries: list[str] = []
    n_dmap, n_kafka = max(1, n_tables * 14 // 300), max(1, n_tables * 6 // 300)
    for number in range((n_tables - n_dmap - n_kafka) // 2):
        prefix = f"cubic/ods_qlik/BENCH.T{number}"
        entries.append(_entry("ods", f"cubic__ods_qlik__bench_t{number}", prefix, {}))
        _write_ods(folder / "files" / prefix, n_files, is_change=False)
        _write_ods(folder / "files" / f"{prefix}__ct", n_files, is_change=True)
    columns = {"id": "int64", "name": "string", "amount": "decimal128(10, 2)", "updated": "timestamp[us]"}
    for stream, n_of_stream, write in (("dmap", n_dmap, _write_dmap), ("kafka", n_kafka, _write_kafka)):
        for number in range(n_of_stream):
            prefix = f"cubic/{stream}/bench_t{number}"
            entries.append(_entry(stream, f"cubic__{stream}__bench_t{number}", prefix, columns))
            write(folder / "files" / prefix, n_files)
    (folder / "tables" / "bench.toml").write_text("\n".join(entries))


def _entry(stream: str, name: str, prefix: str, columns: dict[str, str]) -> str:
    lines = ["[[table]]", f'stream = "{stream}"', f'name = "{name}"', f'prefix = "{prefix}/"']
    if columns:
        lines += ["[table.columns]", *(f'{column} = "{kind}"' for column, kind in columns.items())]
    return "\n".join(lines) + "\n"


def _write_ods(folder: Path, n_files: int, *, is_change: bool) -> None:
    folder.mkdir(parents=True)
    header = [("header__change_seq", "STRING"), ("header__change_oper", "STRING"), ("header__timestamp", "DATETIME")]
    columns = [*(header if is_change else []), *zip(COLUMNS, TYPES, strict=True)]
    for number in range(1, n_files + 1):
        name = f"20220304-{number:06d}000" if is_change else f"LOAD{number:08d}"
        lines = [",".join(column for column, _ in columns)]
        lead = f"{number:035d},I,2022-03-04 00:00:00.000000," if is_change else ""
        lines += [lead + f'{row},"name {row}",{row}.25,2022-03-04 10:00:{row:02d}.1234567' for row in range(ROWS)]
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
        described = [
            {"ordinal": n, "name": column, "type": kind, "precision": 10, "scale": 2 * (kind == "NUMERIC")}
            for n, (column, kind) in enumerate(columns, 1)
        ]
        started_at = "" if is_change else f"2022-03-01T00:00:{number:02d}.000"
        sidecar = {
            "fileInfo": {"startWriteTimestamp": started_at, "recordCount": ROWS, "errorCount": 0},
            "dataInfo": {"columns": described},
        }
        (folder / f"{name}.dfm").write_text(json.dumps(sidecar))


def _write_dmap(folder: Path, n_files: int) -> None:
    folder.mkdir(parents=True)
    rows = "".join(f"{row},name {row},{row}.25,2022-03-04 10:00:{row:02d}.123\n" for row in range(ROWS))
    for number in range(n_files):
        day = date(2022, 3, 4) + timedelta(days=number)
        (folder / f"{day:%Y%m%d}.csv").write_text("id,name,amount,updated\n" + rows)


def _write_kafka(folder: Path, n_files: int) -> None:
    folder.mkdir(parents=True)
    for number in range(n_files):
        records = [
            {"id": row, "name": f"name {row}", "amount": row + 0.25, "updated": "2022-03-04T10:00:00"}
            for row in range(ROWS)
        ]
        (folder / f"batch{number}.json").write_text("".join(json.dumps(record) + "\n" for record in records))


def bare(folder: Path, _n_loads: int) -> tuple[float, str]:
    """Read and write each file with pyarrow, and nothing else."""
    started = time.monotonic()
    (folder / "out").mkdir()
    for number, path in enumerate((folder / "files").rglob("*")):
        if path.suffix in {".gz", ".csv"}:
            table = csv.read_csv(path)
        elif path.suffix == ".json":
            table = pyarrow.json.read_json(path)
        else:
            continue
        parquet.write_table(table, folder / "out" / f"{number}.parquet", compression="zstd", compression_level=1)
    return time.monotonic() - started, ""


def ingest(folder: Path, n_loads: int) -> tuple[float, str]:
    """Run ``cubic ingest`` in a process of its own, its start included."""
    environment = _environment(folder)
    _cubic(environment, "db", "upgrade")
    (folder / "files").rename(folder / "home" / "incoming")
    started = time.monotonic()
    _cubic(environment, "ingest")
    seconds = time.monotonic() - started
    return seconds, _state(environment, n_loads)


def daemon(folder: Path, n_loads: int) -> tuple[float, str]:
    """Let sensors and daemon of a running ``dagster dev`` find the files; from their arrival to the last in Archive."""
    environment = _environment(folder)
    _cubic(environment, "db", "upgrade")
    with _dagster_dev(folder, environment):
        (folder / "files").rename(folder / "home" / "incoming")
        started = time.monotonic()
        while _archived(environment) < n_loads and time.monotonic() - started < TIMEOUT_SECONDS:
            time.sleep(1)
        seconds = time.monotonic() - started
    runs = subprocess.run(
        [sys.executable, "-c", "import dagster as dg; print(dg.DagsterInstance.get().get_runs_count())"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return seconds, f"{runs} runs; {_state(environment, n_loads)}"


@contextmanager
def _dagster_dev(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    instance = folder / "home" / "dagster"
    instance.mkdir(parents=True)
    config = (ROOT / "dagster.yaml").read_text().replace(".cubic/dagster", str(instance))
    (instance / "dagster.yaml").write_text(config)
    environment["DAGSTER_HOME"] = str(instance)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "--port", str(port)]
    with (folder / "dagster.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            while "Serving dagster-webserver" not in (folder / "dagster.log").read_text():
                time.sleep(0.5)
            yield
        finally:
            os.killpg(
                process.pid, signal.SIGKILL
            )  # of a process group without a terminal, some would not end otherwise
            process.wait()


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    mine = {"CUBIC_HOME": str(home), "CUBIC_TABLES_DIR": str(folder / "tables")}
    return {name: value for name, value in os.environ.items() if not name.startswith(("CUBIC_", "DAGSTER_"))} | mine


def _cubic(environment: dict[str, str], *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("cubic")), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _archived(environment: dict[str, str]) -> int:
    database = Path(environment["CUBIC_HOME"]) / "metadata.sqlite"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        query = "select count(*) from cubic_loads where status in ('archived', 'errored')"
        return connection.execute(query).fetchone()[0]


def _state(environment: dict[str, str], n_loads: int) -> str:
    status = json.loads(_cubic(environment, "status", "--json"))
    archived = sum(row["archived"] for row in status["tables"])
    rows = sum(row["rows"] for row in status["tables"])
    return f"archived {archived} of {n_loads}, {rows} rows"


if __name__ == "__main__":
    main(sys.argv[1:])
