"""``make audit``: what ``cubic audit`` takes for a million loads, and for a hundred thousand findings among them.

Each figure is of the command in a process of its own, on a home in local folders and SQLite. All loads are archived,
have one row, and are a partition of their own, which Dagster shows. Originals and Parquet files are links to a few
files, which have no statistics for ``load_id``, so that one file can stand for many loads. In Dagster's storage, one
event of each table was copied. Some loads of the last row of figures have lost their Parquet, and as many objects in
Archive are nobody's. Memory is flat if a hundredth of the loads take as much.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import create_engine, text

from cubic_ingestion.bootstrap import build
from cubic_ingestion.defs.event_log import report_without_run
from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.domain.layout import PART_NAME, partition_folder, partition_names
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import CatalogEntry
from cubic_ingestion.settings import read_settings

MOST_MIB = 400
_LINKS = 60_000
"""Links that one file may have; ext4 stops at 65,000."""
_ORIGINAL = b'{"n": 1}\n'
_TABLE = """[[table]]
stream = "kafka"
name = "cubic__kafka__bench_t{number:03}"
prefix = "{prefix}"
[table.columns]
n = "int64"
"""
_LOADS = """
    WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < :n_loads - 1)
    INSERT INTO cubic_loads (id, table_id, status, s3_key, s3_etag, s3_modified, s3_size, is_raw, source_at,
        partition_key, attempts, location, archive_key, n_rows, n_bytes, n_quarantined, schema_id, is_replay_due,
        inserted_at, updated_at)
    SELECT s.n + 1, t.id, 'archived', t.s3_prefix || printf('%09d.json.gz', s.n), printf('%032x', s.n), :at, :size, 0,
        :at, printf('%09d', s.n), 1, t.s3_prefix || printf('identifier=%09d.json.gz/', s.n) || :part,
        t.s3_prefix || printf('%09d.json.gz', s.n), 1, :n_bytes, 0, c.id, 0, :at, :at
    FROM s JOIN cubic_tables t ON t.name = printf('cubic__kafka__bench_t%03d', s.n * :n_tables / :n_loads)
    JOIN cubic_table_schemas c ON c.table_id = t.id"""
_SCHEMAS = """
    INSERT INTO cubic_table_schemas (table_id, fingerprint, columns, inserted_at)
    SELECT id, name, '[["n", "int64", null]]', :at FROM cubic_tables WHERE name LIKE '%__bench_t%'"""

_SERIES = "WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last)"
_EVENTS = f"""{_SERIES}
    INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, asset_key, partition)
    SELECT run_id, event, dagster_event_type, timestamp, asset_key, printf('%09d', s.n) FROM s CROSS JOIN event_logs
    WHERE asset_key = :asset_key AND partition = printf('%09d', :first) AND s.n > :first"""
_PARTITIONS = f"""{_SERIES}
    INSERT INTO dynamic_partitions (partitions_def_name, partition) SELECT :table, printf('%09d', s.n) FROM s"""


@dataclass(frozen=True)
class Taken:
    """What one run of a command took."""

    seconds: float
    cpu_seconds: float
    mib: float
    """Resident, at the peak."""
    out: Path


def main(arguments: Sequence[str]) -> None:
    """Fill homes, run the command in each, and print what it took."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--loads", type=int, default=1_000_000)
    parser.add_argument("--tables", type=int, default=8, help="tables that share them; each is one folder")
    parser.add_argument("--findings", type=int, default=100_000, help="findings of the last run")
    parser.add_argument("--commands", nargs="+", default=[], help="other commands to measure, for example 'status'")
    options = parser.parse_args(arguments)
    print(f"{'loads':>9} {'command':<24} {'findings':>9} {'seconds':>8} {'CPU s':>7} {'MiB':>5}")
    most = max(_measured(n_loads, options) for n_loads in (options.loads // 100, options.loads // 10, options.loads))
    if most > MOST_MIB:
        raise SystemExit(f"An audit took {most:.0f} MiB; {MOST_MIB} are allowed.")


def _measured(n_loads: int, options: argparse.Namespace) -> float:
    """Print what the commands take for a number of loads; return the largest memory of an audit."""
    with tempfile.TemporaryDirectory(prefix="cubic-audit-") as name:
        home = Path(name)
        platform = _platform(home, options.tables)
        _fill(platform, home, n_loads, options.tables)
        _show(platform, home, n_loads, options.tables)
        for command in options.commands:
            _print(n_loads, command, _run(home, *command.split()))
        audits = [_audit(home, n_loads, 0)]
        if options.findings and n_loads == options.loads:
            _spoil(home, n_loads, options.tables, options.findings)
            audits.append(_audit(home, n_loads, options.findings))
            _print(n_loads, "audit, as text", _run(home, "audit"), options.findings)
    return max(each.mib for each in audits)


def _platform(home: Path, n_tables: int) -> Platform:
    declared = home / "tables"
    declared.mkdir()
    entries = [_TABLE.format(number=number, prefix=_folder(number)) for number in range(n_tables)]
    (declared / "bench.toml").write_text("".join(entries), encoding="utf-8")
    os.environ |= {"CUBIC_HOME": str(home), "CUBIC_TABLES_DIR": str(declared), "CUBIC_SETTLE_SECONDS": "0"}
    return build(read_settings())


def _fill(platform: Platform, home: Path, n_loads: int, n_tables: int) -> None:
    """Make objects, their records and their views; a view is made while its table has one file, as in life."""
    originals, rows = _files(home, "original", _ORIGINAL), _files(home, "rows", _parquet(home))
    platform.ledger.tables.sync(platform.tables.values())
    known: set[str] = set()
    for key in _keys(n_loads, n_tables):
        prefix, _, name = key.rpartition("/")
        place = home / "springboard" / prefix / f"identifier={name}" / PART_NAME
        place.parent.mkdir(parents=True)
        os.link(next(rows), place)
        if prefix not in known:
            known.add(prefix)
            (home / "archive" / prefix).mkdir(parents=True)
            _make_view(platform, platform.tables[prefix.replace("/", "__")])
        os.link(next(originals), home / "archive" / key)
    engine = create_engine(f"sqlite:///{home / 'metadata.sqlite'}")
    values = {"at": "2022-03-04 10:15:00.000000", "n_loads": n_loads, "n_tables": n_tables, "part": PART_NAME}
    sizes = {"size": len(_ORIGINAL), "n_bytes": (home / "rows.parquet").stat().st_size}
    with engine.begin() as connection:
        connection.execute(text(_SCHEMAS), values)
        connection.execute(text(_LOADS), values | sizes)
    engine.dispose()


def _show(platform: Platform, home: Path, n_loads: int, n_tables: int) -> None:
    """Make Dagster's instance, and have it show a partition for each load."""
    with dagster_instance(read_settings()) as instance:
        for number in range(n_tables):
            numbers = [n for n in range(n_loads) if n * n_tables // n_loads == number]
            table = platform.tables[_folder(number).removesuffix("/").replace("/", "__")]
            first = dg.AssetMaterialization(asset_key(table), partition=f"{numbers[0]:09}")
            report_without_run(instance, [first])
            values = {"first": numbers[0], "last": numbers[-1], "table": table.name}
            values["asset_key"] = asset_key(table).to_string()
            with closing(sqlite3.connect(home / "dagster/history/runs/index.db")) as connection, connection:
                connection.execute(_EVENTS, values)
                connection.execute(_PARTITIONS, values)


def _folder(number: int) -> str:
    """Return the prefix of a table."""
    return f"cubic/kafka/bench_t{number:03}/"


def _keys(n_loads: int, n_tables: int) -> Iterator[str]:
    """Yield the keys of all originals, evenly spread over the tables."""
    return (f"{_folder(n * n_tables // n_loads)}{n:09}.json.gz" for n in range(n_loads))


def _make_view(platform: Platform, table: Table) -> None:
    location = platform.stores.springboard.uri(partition_folder(table, ("",)).removesuffix("identifier=/"))
    schema = pa.schema([("n", pa.int64()), ("load_id", pa.int64())])
    platform.catalog.register([CatalogEntry(table, location, schema, partition_names=partition_names(table))])


def _parquet(home: Path) -> bytes:
    path = home / "rows.parquet"
    pq.write_table(pa.table({"n": [1], "load_id": [1]}), path, write_statistics=False)
    return path.read_bytes()


def _files(home: Path, name: str, data: bytes) -> Iterator[Path]:
    """Yield a file to link to, and another one in time."""
    for number in count():
        path = home / f"{name}-{number}"
        path.write_bytes(data)
        for _ in range(_LINKS):
            yield path


def _spoil(home: Path, n_loads: int, n_tables: int, n_findings: int) -> None:
    """Take the Parquet of some loads away, and put as many objects that are nobody's into Archive."""
    n_missing = min(n_findings // 2, n_loads)
    for _, key in zip(range(n_missing), _keys(n_loads, n_tables), strict=False):
        prefix, _, name = key.rpartition("/")
        (home / "springboard" / prefix / f"identifier={name}" / PART_NAME).unlink()
    for number in range(n_findings - n_missing):
        (home / "archive" / _folder(0) / f"stray-{number}").touch()


def _audit(home: Path, n_loads: int, n_findings: int) -> Taken:
    taken = _run(home, "audit", "--json")
    told = json.loads(taken.out.read_bytes())
    found = (told["proved"]["loads"], told["proved"]["partitions"], len(told["findings"]))
    if found != (n_loads, n_loads, n_findings):
        raise SystemExit(f"It would be no measurement: {found} loads, partitions and findings.")
    _print(n_loads, "audit --json", taken, n_findings)
    return taken


def _run(home: Path, *arguments: str) -> Taken:
    out, started = home / "out", time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen([Path(sys.executable).with_name("cubic"), *arguments], stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        raise SystemExit(f"'cubic {' '.join(arguments)}' ended with {process.returncode}.")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Taken(time.perf_counter() - started, cpu_seconds, usage.ru_maxrss / 1024, out)


def _print(n_loads: int, command: str, taken: Taken, n_findings: int = 0) -> None:
    figures = f"{n_findings:>9,} {taken.seconds:>8.1f} {taken.cpu_seconds:>7.1f} {taken.mib:>5.0f}"
    print(f"{n_loads:>9,} {command:<24} {figures}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
