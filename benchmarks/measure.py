"""One measurement in a process of its own: ``python -m benchmarks.measure ENGINE SOURCE WORK typed|text``.

Prints JSON: seconds of the work (imports and set-up are not in it), rows, and the peak memory of the process.
"""

import importlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.files import write_csv, write_json

WARM_BYTES = 10_000
"""Size of the file that each engine has read before, so that what it loads late is no part of the measurement."""
TIMES_SMALL = 7
"""A batch is small beside what a process does once only; a running one takes it so often, and the median counts."""
Prepare = Callable[[Path, int], Callable[[], int]]
"""Makes ready a file, under a number of its own, to be read; what it returns does that, and returns the rows."""


def main(engine: str, source: Path, work: Path, *, typed: bool) -> None:
    """Measure one engine on one file."""
    is_json = source.suffix == ".json"
    if engine == "project":
        prepare = _project(work, is_json=is_json, typed=typed)
    else:
        prepare = _engine(engine, work, typed=typed)
    prepare(_warm(work, is_json=is_json), 1)()
    seconds: list[float] = []
    n_rows = 0
    for number in range(2, 2 + (TIMES_SMALL if is_json else 1)):
        run = prepare(source, number)
        started = time.perf_counter()
        n_rows = run()
        seconds.append(time.perf_counter() - started)
    kib = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": statistics.median(seconds), "n_rows": n_rows, "peak_mib": kib / 1024}))


def _warm(work: Path, *, is_json: bool) -> Path:
    path = work / ("warm.json" if is_json else "warm.csv.gz")
    if is_json:
        write_json(path, 10)
    else:
        write_csv(path, WARM_BYTES)
    return path


def _project(work: Path, *, is_json: bool, typed: bool) -> Prepare:
    from benchmarks import project

    table = project.json_table() if is_json else project.csv_table(typed=typed)
    platform = project.open_platform(work, [table])

    def prepare(source: Path, number: int) -> Callable[[], int]:
        project.place(work, table, source, number)
        return partial(project.load, platform)

    return prepare


def _engine(engine: str, work: Path, *, typed: bool) -> Prepare:
    from benchmarks import engines

    importlib.import_module("pyspark.sql" if engine == "spark" else engine.partition("_")[0])
    convert = getattr(engines, engine)
    return lambda source, number: partial(convert, source, work / f"{number}.parquet", typed=typed)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), typed=sys.argv[4] == "typed")
