"""``make s3``: loads a second on S3 over HTTP, by loads in flight, against a bare loop over the same objects.

S3 is moto's server, a process of its own. Loads of all kinds go all their way, from the listing of Incoming to Archive,
with the ledger on SQLite and without Dagster. The peer gets, puts, copies and deletes the same objects by boto3, with
as many threads: no ledger, no conversion, and nothing is verified. The server is one Python process and bounds both, so
requests a second and its share of a core are shown. ``--round-trip-ms`` lets each request take as long as the way to a
real S3.
"""

import argparse
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from benchmarks.aws import moto_server
from benchmarks.project import ingest_table
from benchmarks.small_files import generate
from cubic_ingestion.bootstrap import build
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.archive import archive
from cubic_ingestion.pipeline.plan import plan
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.settings import ZONES, Settings
from cubic_ingestion.storage.s3_client import s3_client

N_TABLES = 8
_ROWS = b"x" * 3_000
"""Stands for the Parquet of a small load."""
_TICKS = os.sysconf("SC_CLK_TCK")

Steps = dict[str, float]
"""Seconds by step."""
Way = Callable[[Path, str, int], Steps]
"""Works on what lies below ``incoming/`` in a bucket."""


@dataclass
class Wire:
    """The wire of one client: counts its requests, and lets each take its time."""

    round_trip_seconds: float
    numbers: count = field(default_factory=count)

    def sent(self, **_event: object) -> None:
        """Be told by botocore that a request goes off, in the thread that waits for the answer."""
        next(self.numbers)
        time.sleep(self.round_trip_seconds)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make s3", description=__doc__)
    parser.add_argument("--files", type=int, default=50, help=f"files of each of {N_TABLES} tables")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 8, 32], help="loads in flight")
    parser.add_argument("--round-trip-ms", type=float, default=0.0, help="what each request takes beside the server")
    options = parser.parse_args(arguments)
    n_loads = N_TABLES * options.files
    print(f"{n_loads} loads of {N_TABLES} tables; each request takes {options.round_trip_ms:g} ms beside the server")
    print(f"{'in flight':>9}  way   {'loads/s':>8} {'requests/s':>10} {'a load':>7} {'server':>7}  seconds by step")
    with tempfile.TemporaryDirectory() as folder, moto_server() as server:
        generate(Path(folder), N_TABLES, options.files)
        for in_flight in options.in_flight:
            for name, way in WAYS.items():
                measured = _measure(way, Path(folder), in_flight, options.round_trip_ms / 1000, server)
                print(f"{in_flight:>9}  {name:<5} {measured.line(n_loads)}", flush=True)


@dataclass(frozen=True)
class Measured:
    """What one way took."""

    steps: Steps
    n_requests: int
    server_seconds: float

    def line(self, n_loads: int) -> str:
        """Word it."""
        seconds = sum(self.steps.values())
        steps = ", ".join(f"{step} {each:.1f}" for step, each in self.steps.items())
        busy = self.server_seconds / seconds
        rates = f"{n_loads / seconds:>8.1f} {self.n_requests / seconds:>10.0f} {self.n_requests / n_loads:>7.1f}"
        return f"{rates} {busy:>7.0%}  {steps}"


def _measure(way: Way, folder: Path, in_flight: int, round_trip_seconds: float, server: int) -> Measured:
    """Put the objects into a bucket of their own, and let one way work on them."""
    bucket = f"bench-{uuid.uuid4().hex}"
    client = s3_client("path", max(32, 2 * in_flight))
    client.create_bucket(Bucket=bucket)
    for path in (folder / "files").rglob("*"):
        if path.is_dir():
            continue
        key = f"incoming/{path.relative_to(folder / 'files')}"
        client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    wire, before = Wire(round_trip_seconds), _cpu_seconds(server)
    client.meta.events.register("before-send.s3", wire.sent)
    try:
        steps = way(folder, bucket, in_flight)
    finally:
        client.meta.events.unregister("before-send.s3", wire.sent)
    return Measured(steps, next(wire.numbers), _cpu_seconds(server) - before)


def _bare(_folder: Path, bucket: str, in_flight: int) -> Steps:
    """Get, put, copy and delete each object."""
    client = s3_client("path", max(32, 2 * in_flight))

    def work(key: str) -> None:
        client.get_object(Bucket=bucket, Key=key)["Body"].read()
        if not key.endswith(".dfm"):
            client.put_object(Bucket=bucket, Key=f"springboard/{key}", Body=_ROWS)
        client.copy_object(Bucket=bucket, Key=f"archive/{key}", CopySource={"Bucket": bucket, "Key": key})
        client.delete_object(Bucket=bucket, Key=key)

    def work_all() -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="incoming/")
        keys = [entry["Key"] for page in pages for entry in page["Contents"]]
        with ThreadPoolExecutor(in_flight) as pool:
            list(pool.map(work, keys))

    return {"all": _seconds(work_all)}


def _cubic(folder: Path, bucket: str, in_flight: int) -> Steps:
    """Let loads go all their way.

    Raises:
        SystemExit: Not all did; it would be no measurement.
    """
    settings = Settings(  # pyright: ignore[reportCallIssue] - defaults
        home=folder / bucket,
        tables_dir=folder / "tables",
        settle_seconds=0,
        parallel_loads=in_flight,
        s3_addressing_style="path",
        **{f"{zone}_url": f"s3://{bucket}/{zone}" for zone in ZONES},
    )
    platform = build(settings)
    platform = replace(platform, tables={name: each for name, each in platform.tables.items() if "bench_" in name})
    tables = platform.tables.values()
    steps = {
        "register": _seconds(lambda: [register(platform, stream) for stream in StreamName]),
        "plan": _seconds(lambda: [plan(platform, stream) for stream in StreamName]),
        "ingest": _seconds(lambda: [ingest_table(platform, table) for table in tables]),
        "archive": _seconds(lambda: archive(platform, list(platform.tables), run_id="bench")),
    }
    if left := next(platform.stores.incoming.list(""), None):
        raise SystemExit(f"'{left[0].key}' was not archived.")
    return steps


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


WAYS: dict[str, Way] = {"bare": _bare, "cubic": _cubic}


def _cpu_seconds(process: int) -> float:
    """Return the processor time that a process has taken."""
    numbers = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / _TICKS


if __name__ == "__main__":
    main(sys.argv[1:])
