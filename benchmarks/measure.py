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

TIMES_SMALL = 7
"""A batch is small beside what a process does once only; a running one takes it so often, and the median counts."""


def main(engine: str, source: Path, work: Path, *, typed: bool) -> None:
    """Measure one engine on one file."""
    work_once = (
        _project(source, work, typed=typed) if engine == "project" else _engine(engine, source, work, typed=typed)
    )
    seconds: list[float] = []
    n_rows = 0
    for number in range(1, (TIMES_SMALL if source.suffix == ".json" else 1) + 1):
        run = work_once(number)
        started = time.perf_counter()
        n_rows = run()
        seconds.append(time.perf_counter() - started)
    kib = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": statistics.median(seconds), "n_rows": n_rows, "peak_mib": kib / 1024}))


def _project(source: Path, work: Path, *, typed: bool) -> Callable[[int], Callable[[], int]]:
    from benchmarks import project

    table = project.json_table() if source.suffix == ".json" else project.csv_table(typed=typed)
    platform = project.open_platform(work, [table])

    def prepare(number: int) -> Callable[[], int]:
        project.place(work, table, source, number)
        return partial(project.load, platform)

    return prepare


def _engine(engine: str, source: Path, work: Path, *, typed: bool) -> Callable[[int], Callable[[], int]]:
    from benchmarks import engines

    importlib.import_module("pyspark.sql" if engine == "spark" else engine.partition("_")[0])
    return lambda number: partial(getattr(engines, engine), source, work / f"{number}.parquet", typed=typed)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), typed=sys.argv[4] == "typed")
