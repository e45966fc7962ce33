"""``make scan``: a million keys that are all known, which is what a sensor sees again and again.

From the listing to the ledger's answer, against a bare listing of the same keys: ``os.scandir`` and ``stat`` in a local
folder, boto3's paginator for S3. The folder holds files without bytes; S3 is a server that has nothing but the listing.
The ledger is SQLite. Each figure is of a process of its own. A tenth of the keys goes first: memory is flat if all of
them take no more.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.listing_server import folder, keys
from cubic_ingestion.bootstrap import build
from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.settings import Settings
from cubic_ingestion.storage.s3_client import s3_client

STORES = ("local", "s3")


@dataclass(frozen=True)
class Place:
    """Where the keys are."""

    home: Path
    n_tables: int
    incoming_url: str


@dataclass(frozen=True)
class Scan:
    """What one way of looking at all keys took."""

    n_seen: int
    n_new: int
    seconds: float
    mib: float
    """Grown by, at the peak."""


def main(arguments: Sequence[str]) -> None:
    """Fill, scan and print."""
    parser = argparse.ArgumentParser(prog="make scan", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--tables", type=int, default=8, help="tables that share them; each is one folder")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    options = parser.parse_args(arguments)
    print(f"{'store':<6} {'keys':>9}  {'way':<8} {'seconds':>8} {'keys/s':>9} {'MiB':>5}  against a bare listing")
    for store in options.stores:
        for n_keys in (options.keys // 10, options.keys):
            with _filled(store, n_keys, options.tables) as place:
                _print_scans(store, n_keys, place)


def _print_scans(store: str, n_keys: int, place: Place) -> None:
    scans = {name: _in_a_process(way, place) for name, way in WAYS.items()}
    if [(each.n_seen, each.n_new) for each in scans.values()] != [(n_keys, 0), (n_keys, n_keys), (n_keys, 0)]:
        raise SystemExit(f"It would be no measurement: {scans}")
    for name, each in scans.items():
        ratio = f"{each.seconds / scans['bare'].seconds:.1f} x" if name != "bare" else ""
        rate = n_keys / each.seconds
        print(
            f"{store:<6} {n_keys:>9,}  {name:<8} {each.seconds:>8.1f} {rate:>9,.0f} {each.mib:>5.0f}  {ratio}",
            flush=True,
        )


@contextmanager
def _filled(store: str, n_keys: int, n_tables: int) -> Generator[Place]:
    with tempfile.TemporaryDirectory(prefix="cubic-scan-") as name:
        if store == "local":
            _touch(Path(name) / "incoming", n_keys, n_tables)
            yield Place(Path(name), n_tables, "")
            return
        command = [sys.executable, "-m", "benchmarks.listing_server", str(n_keys), str(n_tables)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout  # noqa: S101 - a pipe was asked for
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.stdout.readline().strip()}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            try:
                yield Place(Path(name), n_tables, "s3://bench/incoming")
            finally:
                server.terminate()


def _touch(incoming: Path, n_keys: int, n_tables: int) -> None:
    for number in range(n_tables):
        (incoming / folder(number)).mkdir(parents=True)
    for key in keys(n_keys, n_tables):
        (incoming / key).open("wb").close()


def _in_a_process(way: "Way", place: Place) -> Scan:
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_measure, args=(way, place, theirs))
    process.start()
    theirs.close()
    answer: Any = ours.recv()
    process.join()
    return answer


def _measure(way: "Way", place: Place, answer: Connection) -> None:
    settings = Settings(  # pyright: ignore[reportCallIssue] - defaults
        home=place.home, incoming_url=place.incoming_url, settle_seconds=0, s3_addressing_style="path"
    )
    tables = [
        Table(f"cubic__dmap__bench_t{n}", StreamName.DMAP, folder(n), (Column("n", "int64"),))
        for n in range(place.n_tables)
    ]
    platform = replace(build(settings), tables={table.name: table for table in tables})
    list(platform.stores.incoming.list("cubic/kafka/"))  # what is loaded on first use is no part of it
    before, started = _peak_mib(), time.perf_counter()
    n_seen, n_new = way(platform, place)
    answer.send(Scan(n_seen, n_new, time.perf_counter() - started, _peak_mib() - before))


def _bare(_platform: Platform, place: Place) -> tuple[int, int]:
    """List with what Python and boto3 have."""
    if place.incoming_url:
        pages = s3_client("path", 10).get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="incoming/")
        return sum(len(page["Contents"]) for page in pages), 0
    n_seen = 0
    for number in range(place.n_tables):
        with os.scandir(place.home / "incoming" / folder(number)) as entries:
            n_seen += sum(1 for entry in entries if entry.stat().st_size == 0)
    return n_seen, 0


def _register(platform: Platform, _place: Place) -> tuple[int, int]:
    """Register what is new."""
    found = register(platform, StreamName.DMAP)
    return found.n_seen, found.n_new


Way = Callable[[Platform, Place], tuple[int, int]]
"""Looks at all keys; returns how many it saw, and how many were new."""
WAYS: dict[str, Way] = {"bare": _bare, "new": _register, "known": _register}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
