"""``python -m benchmarks.json_memory``: peak memory of ``cubic ingest`` on the Kafka batches that need the most of it.

Each case is a home of its own with one batch, or with as many as are worked on at once, and a process of its own; the
figure is the largest resident size that the whole process had, Dagster included. ``--help`` lists the cases. The kernel
counts this process's own size in, since the other begins as its copy; so nothing here holds a whole file.
"""

import argparse
import gzip
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.files import EVENT, events
from cubic_ingestion.domain.batch import MAX_RECORD_BYTES, SEQUENCE_COLUMN, SHARD_COLUMN
from cubic_ingestion.domain.table import MAX_FIELDS
from cubic_ingestion.parsing.matching import MAX_JSON_COLUMNS, MAX_WIDE_CELLS
from cubic_ingestion.settings import Settings

MIB = 1 << 20
CUBIC = str(Path(sys.executable).with_name("cubic"))
BATCH_BYTES: int = Settings.model_fields["kafka_batch_bytes"].default
BATCH_RECORDS: int = Settings.model_fields["kafka_batch_records"].default
PARALLEL_LOADS: int = Settings.model_fields["parallel_loads"].default
MAX_PEAK_MIB = 512
MAX_PEAK_MIB_PER_LOAD = 128
"""What each load that is worked on beside another may add."""
OTHER_COLUMNS = len(EVENT) + 2
"""The declared ones and the two that the batcher adds."""
SMALL_BYTES = (4 * MIB) - 1
"""Size of the largest file that is worked on beside others."""

Lines = Iterable[bytes]


@dataclass(frozen=True)
class Case:
    """A batch, or several, and what is to become of them."""

    lines: Callable[[], Lines]
    expected: str
    """Status of the loads: ``archived``, or the code of the reason."""
    n_bytes: int = BATCH_BYTES
    """Size above which the file does not grow."""
    n_files: int = 1
    is_gzip: bool = False
    table: str = "bench"
    max_peak_mib: int = MAX_PEAK_MIB


def ordinary() -> Lines:
    """Yield events of some 500 bytes."""
    draw = random.Random(11)
    some = [_text(event) for event in events(draw, 10_000)]
    return _lines(itertools.cycle(some))


def bad() -> Lines:
    """Yield events that do not fit, every one."""
    draw = random.Random(11)
    some = [_text(event | {"amount": "much", "occurredat": "then"}) for event in events(draw, 10_000)]
    return _lines(itertools.cycle(some))


def tiny() -> Lines:
    """Yield records that have next to nothing in them."""
    return _lines(itertools.repeat(b'{"a":1}'))


def wide() -> Lines:
    """Yield records of two kinds, so that the file has as many fields as one may have."""
    n_names = min(MAX_FIELDS, (MAX_JSON_COLUMNS - OTHER_COLUMNS) // 2)
    some = [_text({f"name{kind * n_names + at}": at % 10 for at in range(n_names)}) for kind in range(2)]
    return _lines(itertools.cycle(some))


def sparse() -> Lines:
    """Yield as many records as a batch has, each with a few of as many fields as such a file may have."""
    draw = random.Random(11)
    n_names = MAX_WIDE_CELLS // BATCH_RECORDS - OTHER_COLUMNS
    first = iter(range(n_names))
    names = ([*itertools.islice(first, 200), *draw.sample(range(n_names), 20)] for _ in range(BATCH_RECORDS))
    return _lines(_text({f"name{name}": "x" for name in some}) for some in names)


def map_of_too_many() -> Lines:
    """Yield one record of 200,000 fields."""
    return _lines([_text({f"name{at}": at for at in range(200_000)})])


def text() -> Lines:
    """Yield records as large as one may be: a text with escapes, and characters of four bytes."""
    return _large(lambda n_bytes: ("x\\n" * 1_000 + "🔥") * (n_bytes // 3_004))


def nested() -> Lines:
    """Yield records as large as one may be: one value each, of a million small objects."""
    return _large(lambda n_bytes: "[" + ",".join(['{"a":1}'] * (n_bytes // 8 - 1)) + "]", quote="")


def too_large() -> Lines:
    """Yield one record of 510 MB, in pieces."""
    yield from [b'{"eventid":"', *[b"x" * 1_000_000] * 510, b'"}\n']


CASES = {
    "ordinary": Case(ordinary, "archived"),
    "largest": Case(ordinary, "archived", 512 * MIB),
    "tiny": Case(tiny, "archived"),
    "wide": Case(wide, "archived"),
    "widest": Case(wide, "archived", 350 * MIB),
    "sparse": Case(sparse, "archived"),
    "text": Case(text, "archived"),
    "nested": Case(nested, "archived"),
    "quarantine": Case(bad, "archived", table="bench_quarantine"),
    "wide_map": Case(map_of_too_many, "too_many_columns"),
    "large_record": Case(too_large, "record_too_large", 512 * MIB),
    "large_file": Case(ordinary, "file_too_large", 600 * MIB),
    "parallel": Case(ordinary, "archived", SMALL_BYTES, n_files=4 * PARALLEL_LOADS),
    "parallel_wide": Case(wide, "archived", SMALL_BYTES, n_files=PARALLEL_LOADS),
    "parallel_gzip": Case(
        lambda: _lines(itertools.repeat(b'{"eventid":"%s"}' % (b"x" * 500))),
        "archived",
        128 * MIB,
        n_files=PARALLEL_LOADS,
        is_gzip=True,
        max_peak_mib=MAX_PEAK_MIB + (PARALLEL_LOADS - 1) * MAX_PEAK_MIB_PER_LOAD,
    ),
}


def _text(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _lines(records: Iterable[bytes]) -> Iterator[bytes]:
    """Write records as the batcher does."""
    for number, record in enumerate(records):
        start = f'{{"{SHARD_COLUMN}":"shardId-000000000000","{SEQUENCE_COLUMN}":"{4968 * 10**52 + number}",'
        yield b"%s%s\n" % (start.encode(), record[1:])


def _large(value: Callable[[int], str], quote: str = '"') -> Lines:
    record = f'{{"eventid":{quote}{value(MAX_RECORD_BYTES - 1_000)}{quote}}}'.encode()
    return _lines(itertools.repeat(record))


def write_batch(path: Path, case: Case) -> None:
    """Write a case's file."""
    n_bytes = 0
    with gzip.open(path, "wb", 6) if case.is_gzip else path.open("wb") as out:
        for line in case.lines():
            n_bytes += len(line)
            if n_bytes > case.n_bytes and n_bytes > len(line):
                break
            out.write(line)


def declare(folder: Path) -> None:
    """Declare the tables of events."""
    folder.mkdir()
    columns = "".join(f'{name} = "{kind}"\n' for name, kind in EVENT.items())
    (folder / "bench.toml").write_text(
        "".join(
            f'[[table]]\nstream = "kafka"\nname = "cubic__kafka__{name}"\nprefix = "cubic/kafka/{name}/"\n{more}'
            f"[table.columns]\n{columns}\n"
            for name, more in (("bench", ""), ("bench_quarantine", 'on_bad_value = "quarantine"\n'))
        )
    )


def measure(name: str, case: Case, home: Path) -> bool:
    """Ingest a case's files; print what that took, and say whether all went as it should."""
    declare(home / "tables")
    incoming = home / "incoming" / "cubic" / "kafka" / case.table
    incoming.mkdir(parents=True)
    file = home / ("batch.json.gz" if case.is_gzip else "batch.json")
    write_batch(file, case)
    for number in range(case.n_files):
        os.link(file, incoming / f"{number}{file.name}")
    n_mib = file.stat().st_size / MIB
    settings = {"CUBIC_HOME": str(home), "CUBIC_TABLES_DIR": str(home / "tables"), "CUBIC_SETTLE_SECONDS": "0"}
    started = time.perf_counter()
    process = subprocess.Popen([CUBIC, "ingest", "--json"], env=os.environ | settings, stdout=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    peak_mib = used.ru_maxrss / 1024
    outcomes = Counter(outcomes_of_loads(settings))
    is_right = outcomes == {case.expected: case.n_files} and peak_mib <= case.max_peak_mib
    found = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    remark = "" if is_right else f"  NOT AS IT SHOULD BE: {case.n_files} {case.expected}, {case.max_peak_mib} MiB"
    print(
        f"  {name:<14} {case.n_files:>2} x {n_mib:5.1f} MiB {seconds:6.1f} s {peak_mib:6.0f} MiB  {found}{remark}",
        flush=True,
    )
    return is_right


def outcomes_of_loads(settings: dict[str, str]) -> Iterator[str]:
    """Yield what became of each load: its status, or the code of its reason."""
    for load in asked(settings, "loads", "list"):
        yield load.get("error_code") or load["status"]


def asked(settings: dict[str, str], *command: str) -> Any:  # noqa: ANN401 - JSON
    """Return what a command prints."""
    done = subprocess.run([CUBIC, *command, "--json"], env=os.environ | settings, capture_output=True, check=True)
    return json.loads(done.stdout)


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.json_memory", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where homes are made")
    options = parser.parse_args()
    if unknown := set(options.cases) - {*CASES}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    is_right = True
    for name in options.cases or CASES:
        with tempfile.TemporaryDirectory(dir=options.folder) as home:
            is_right &= measure(name, CASES[name], Path(home))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
