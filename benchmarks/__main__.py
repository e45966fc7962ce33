"""``make bench``: this project against the tools a user would pick instead, on the same files in the same run.

Every run is a process of its own; a figure is the median of its runs. ``--help`` lists measures and sizes.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import small_files
from benchmarks.files import write_csv, write_json

MIB = 1 << 20
SIZES = (10, 100, 1_000)
FULL_SIZE = 10_000
SMALL_BYTES, SMALL_TABLES, SMALL_FILES = 10_000, 8, 75
EVENTS = 10_000
MAX_PEAK_MIB = 400


@dataclass(frozen=True)
class Run:
    """What one engine's runs on one file came to."""

    seconds: float
    n_rows: int
    peak_mib: float


@dataclass(frozen=True)
class Bench:
    """Where files are kept, and how often each engine runs."""

    cache: Path
    size_mb: int
    sizes: Sequence[int]
    repeats: int

    def csv(self, size_mb: int) -> Path:
        """Return the CSV of a size, made on first use."""
        return self.made(f"{size_mb}mb.csv.gz", lambda path: write_csv(path, size_mb * 1_000_000))

    def events(self) -> Path:
        """Return the batch of events, made on first use."""
        return self.made(f"{EVENTS}.json", lambda path: write_json(path, EVENTS))

    def run(self, engine: str, source: Path, *, typed: bool = True, repeats: int | None = None) -> Run:
        """Run one engine on one file, and take the medians."""
        runs: list[Run] = []
        for _ in range(repeats or self.repeats):
            with tempfile.TemporaryDirectory(dir=self.cache) as work:
                mode = "typed" if typed else "text"
                environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
                command = [sys.executable, "-m", "benchmarks.measure", engine, str(source), work, mode]
                done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
                if done.returncode:
                    raise SystemExit(f"{engine} failed on {source}:\n{done.stderr[-2000:]}")
                runs.append(Run(**json.loads(done.stdout.splitlines()[-1])))
        seconds, peak = (
            statistics.median(values) for values in zip(*((r.seconds, r.peak_mib) for r in runs), strict=True)
        )
        return Run(seconds, runs[0].n_rows, peak)

    def made(self, name: str, write: Callable[[Path], int]) -> Path:
        """Return a file of the cache, written on first use."""
        path = self.cache / name
        if not path.exists():
            partial = self.cache / "partial" / name
            partial.parent.mkdir(parents=True, exist_ok=True)
            write(partial)
            for made in partial.parent.iterdir():
                if made != partial:
                    made.replace(self.cache / made.name)
            partial.replace(path)
        return path


def typed(bench: Bench) -> None:
    """Measure CSV in gzip, typed and fully checked."""
    _against_engines(bench, {"duckdb": 1.8, "polars": 1.8, "pandas": 5, "spark": 20}, is_typed=True)


def text(bench: Bench) -> None:
    """Measure the same, all strings."""
    _against_engines(bench, {"duckdb": 1.1, "polars": 1.1}, is_typed=False)


def size(bench: Bench) -> None:
    """Measure peak memory and cost over sizes."""
    for size_mb in bench.sizes:
        run = bench.run("project", bench.csv(size_mb), repeats=1)
        reach = "" if run.peak_mib <= MAX_PEAK_MIB else "  (over)"
        print(f"{size_mb:>9,} MB {run.seconds:9.2f} s {size_mb / run.seconds:8.0f} MB/s {run.peak_mib:7.0f} MiB{reach}")
    print(f"  reach: at most {MAX_PEAK_MIB} MiB at every size, and the same MB/s: a straight line")


def small(bench: Bench) -> None:
    """Measure files of 10 kB, from Incoming to their record in the ledger."""
    from benchmarks import project
    from cubic_ingestion.pipeline.passes import scan

    n_workers = os.cpu_count() or 1
    rates: dict[str, list[float]] = {"project": [], "bare": []}
    source = bench.made("small.csv.gz", lambda path: write_csv(path, SMALL_BYTES))
    for _ in range(bench.repeats):
        with tempfile.TemporaryDirectory(dir=bench.cache) as folder:
            tables = [project.csv_table(number) for number in range(SMALL_TABLES)]
            platform = project.open_platform(Path(folder), tables)
            for table in tables:
                for number in range(1, SMALL_FILES + 1):
                    project.place(Path(folder), table, source, number)
            scan(platform, tables[0].stream)
            for name, work in (("project", project.ingest_some), ("bare", project.convert_some)):
                seconds = project.in_workers(work, Path(folder), SMALL_TABLES, n_workers)
                rates[name].append(SMALL_TABLES * SMALL_FILES / seconds)
            counts = platform.ledger.queries.status_counts()
            print(f"  the ledger: {', '.join(f'{count.n_loads} {count.status}' for count in counts)}"[:100])
    ours, bare = (statistics.median(rates[name]) for name in ("project", "bare"))
    print(f"  {n_workers} processes: project {ours:.0f} files/s; bare pyarrow loop {bare:.0f}; reach 300 files/s")


def events(bench: Bench) -> None:
    """Measure a batch of 10,000 JSON records."""
    source = bench.events()
    ours = bench.run("project", source)
    _print_run("project", ours, source)
    if _is_there("polars"):
        _print_peer("polars", bench.run("polars_json", source), ours, source, 1.0)


MEASURES: dict[str, Callable[[Bench], None]] = {
    "typed": typed,
    "text": text,
    "size": size,
    "small": small,
    "json": events,
}


def _against_engines(bench: Bench, reaches: dict[str, float], *, is_typed: bool) -> None:
    source = bench.csv(bench.size_mb)
    ours = bench.run("project", source, typed=is_typed)
    _print_run("project", ours, source, bench.size_mb)
    for engine, reach in reaches.items():
        if _is_there(engine):
            peer = bench.run(engine, source, typed=is_typed, repeats=1 if engine in {"pandas", "spark"} else None)
            _print_peer(engine, peer, ours, source, reach, bench.size_mb)


def _is_there(engine: str) -> bool:
    module = {"spark": "pyspark"}.get(engine, engine)
    lacking = [] if importlib.util.find_spec(module) else [f"the package {module}"]
    lacking += ["Java"] if engine == "spark" and not shutil.which("java") else []
    if lacking:
        print(f"  {engine:<8} left out: {' and '.join(lacking)} is not installed")
    return not lacking


def _print_run(name: str, run: Run, source: Path, size_mb: int = 0, remark: str = "") -> None:
    n_mb = size_mb or source.stat().st_size / 1_000_000
    print(f"  {name:<8} {run.seconds:8.3f} s {n_mb / run.seconds:8.0f} MB/s {run.peak_mib:7.0f} MiB{remark}")


def _print_peer(name: str, peer: Run, ours: Run, source: Path, reach: float, size_mb: int = 0) -> None:
    differs = "" if peer.n_rows == ours.n_rows else f"  ROWS DIFFER: {peer.n_rows:,}, the project {ours.n_rows:,}"
    remark = f"  project is {peer.seconds / ours.seconds:.2f} x as fast; reach {reach} x{differs}"
    _print_run(name, peer, source, size_mb, remark)


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measures", nargs="*", help=f"of {', '.join(MEASURES)}, loads; default: all but loads")
    parser.add_argument("--size", type=int, default=250, help="MB of CSV for typed and text; the reach is told of 1000")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="MB of CSV for size")
    parser.add_argument("--full", action="store_true", help=f"1000 MB for typed and text, and {FULL_SIZE} MB for size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "cubic-benchmarks")
    options = parser.parse_args()
    unknown = set(options.measures) - {*MEASURES, "loads"}
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = [*options.sizes, FULL_SIZE] if options.full else options.sizes
    bench = Bench(options.folder.absolute(), 1_000 if options.full else options.size, sizes, options.repeats)
    for name in options.measures or MEASURES:
        if name == "loads":
            small_files.main([])
            continue
        print(f"{name}: {(MEASURES[name].__doc__ or '').strip()}")
        MEASURES[name](bench)


if __name__ == "__main__":
    main()
