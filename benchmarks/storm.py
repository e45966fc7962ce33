"""``make storm``: the soak with everything at once, stopped again and again to see whether every watcher is right.

Kills, locks, overwrites and bad files as in the soak; besides, an S3 server that is not moto behind a proxy that harms
requests, names that act on terminals, logs and pages, and workers whose clocks are a day ahead or behind. At each stop
all is ended by SIGKILL, and ``cubic audit``, ``cubic status --check`` and Dagster are compared with the files. At
the end everything drains, and the soak's own proof compares every row with what was delivered.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.aws import moto_server
from benchmarks.soak_check import Proof, prove
from benchmarks.soak_deliveries import (
    Delivered,
    FolderIncoming,
    Incoming,
    Late,
    Version,
    declarations,
    deliver,
    drawn,
)
from benchmarks.soak_workers import CLAIM_TIMEOUT_SECONDS, Adversary, Home, Workers
from benchmarks.storm_s3 import S3Server, rclone_behind_a_proxy
from benchmarks.storm_watchers import Verdict, query, watch
from cubic_ingestion.outside_text import visible
from local_servers.environment import beside_python

DAY_SECONDS = 86_400
LATE_SECONDS = 5
MAX_DRAIN_PASSES = 15
N_SHOWN = 10
ZONES = ("incoming", "archive", "error", "springboard")
WAREHOUSE = "warehouse"

HOSTILE_NAMES = (
    "cubic/dmap/soak_t1/\x1b[2J20210101.csv",
    "cubic/dmap/soak_t1/20210102\nerror: ALL LOST.csv",
    "cubic/dmap/soak_t1/![x](http:__evil.example_x.png).csv",
    "cubic/dmap/soak_t1/<img src=x onerror=alert(1)>.csv",
    "cubic/dmap/soak_t1/'; drop table cubic_loads; --.csv",
    "cubic/dmap/soak_t1/$(touch owned).csv",
    "cubic/dmap/soak_t1/20210103.csv.part",
    "cubic/dmap/soak_t1/20210104.CSV",
    "cubic/dmap/soak_t1/identifier=20210105.csv",
    "cubic/dmap/soak_t1/=cmd|' _C calc'!A0.csv",
    "cubic/dmap/soak_t1/\u202e20210106.csv",
    "cubic/dmap/un\x1b[31mdeclared/x.csv",
    "cubic/dmap/at_the_top.csv",
    "cubic/elsewhere/x.csv",
    "at the top.csv",
)
"""Each must become a load that ends, or be named by the audit; none may act on who reads of it."""
HOSTILE_RECORDS = (
    b'{"id": 1, "![x](http://evil.example/column.png)": "![y](http://evil.example/cell.png)"}\n',
    b'{"id": 2, "x\\u001b[31mred": "\\u001b[2J", "evil|col": "<script>alert(1)</script>"}\n',
)


@dataclass(frozen=True)
class BucketIncoming:
    """Incoming as a bucket, without the proxy in between."""

    client: Any
    bucket: str

    def put(self, key: str, body: bytes) -> str:
        """Put an object; returns its ETag."""
        return str(self.client.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"]).strip('"')


@dataclass
class Storm:
    """One storm: where it is, and what it came to."""

    home: Home
    incoming: Incoming
    server: S3Server | None
    rng: random.Random
    options: argparse.Namespace
    delivered: list[Delivered] = field(default_factory=list[Delivered])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    hostile: list[str] = field(default_factory=list[str])
    """Hostile names that the store takes."""
    n_jumps: int = 0
    acts: dict[str, int] = field(default_factory=dict[str, int])

    def ingest_command(self) -> list[str]:
        """Draw the clock of the next ``cubic ingest``."""
        ahead = self.rng.choice((0, 0, DAY_SECONDS, -DAY_SECONDS))
        if ahead == 0:
            return [beside_python("cubic"), "ingest"]
        self.n_jumps += 1
        return [sys.executable, "-m", "benchmarks.storm_clock", str(ahead), "ingest"]

    def calm(self) -> None:
        """Let every request through."""
        if self.server:
            self.server.harm.share = 0.0

    def blow(self) -> None:
        """Harm requests."""
        if self.server:
            self.server.harm.share = self.options.harmed / 100


def main(arguments: Sequence[str]) -> int:
    """Storm, stop, compare and print; 1 if anything is not as it should be."""
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="cubic-storm-"))
    print(f"seed {options.seed}, store {options.store}, home {folder}", flush=True)
    with ExitStack() as opened:
        storm = _prepare(folder, options, opened)
        _deliver_hostile(storm)
        versions = drawn(options.seed, options.loads)
        for number in range(1, options.stops + 1):
            _blow(storm, versions, number)
            _stop(storm, number)
        seconds = _drain(storm)
        storm.verdicts.append(watch(storm.home, is_over=True))
        proof = prove(storm.home.folder, storm.home.zones, storm.delivered)
        hostile = _unsettled_hostile(storm)
    is_right = _print(storm, proof, hostile, seconds)
    if not is_right:
        print(f"The home is kept: {folder}")
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("rclone", "folder"), default="rclone", help="S3 by rclone, or folders")
    parser.add_argument("--loads", type=int, default=1_500, help="versions to deliver")
    parser.add_argument("--minutes", type=float, default=9, help="over how long")
    parser.add_argument("--stops", type=int, default=6, help="how often everything is ended and compared")
    parser.add_argument("--harmed", type=float, default=3, help="percent of requests that the proxy harms")
    parser.add_argument("--ingests", type=int, default=2, help="how many 'cubic ingest' beside the daemon")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="what is drawn from")
    parser.add_argument("--keep", action="store_true", help="keep the home even if all is well")
    return parser.parse_args(arguments)


def _prepare(folder: Path, options: argparse.Namespace, opened: ExitStack) -> Storm:
    settings = {"CUBIC_SIDECAR_WAIT_SECONDS": str(30 * DAY_SECONDS)}  # clocks differ by a day
    if options.store == "folder":
        home = Home(folder, declarations(), settings=settings)
        return Storm(home, FolderIncoming(home.incoming), None, random.Random(options.seed), options)
    zones = folder / "buckets"
    server = opened.enter_context(rclone_behind_a_proxy(zones, [*ZONES, WAREHOUSE], options.seed, share=0.0))
    settings |= {f"CUBIC_{zone.upper()}_URL": f"s3://{zone}/" for zone in (*ZONES, WAREHOUSE)}
    opened.enter_context(moto_server())  # for Glue alone
    settings |= {
        "CUBIC_CATALOG": "glue",
        "AWS_ENDPOINT_URL_GLUE": os.environ["AWS_ENDPOINT_URL"],
        "AWS_ENDPOINT_URL": server.proxy_url,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "CUBIC_S3_ADDRESSING_STYLE": "path",
    }
    home = Home(folder / "home", declarations(), zones, settings)
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    return Storm(home, BucketIncoming(client, "incoming"), server, random.Random(options.seed), options)


def _deliver_hostile(storm: Storm) -> None:
    """Put files there whose names, columns and values are hostile."""
    # rclone hangs for minutes after a name with control characters.
    storm.hostile = [name for name in HOSTILE_NAMES if storm.server is None or name.isprintable()]
    for name in storm.hostile:
        storm.incoming.put(name, b"id,name,amount\n1,a,1.25\n")
    for number, record in enumerate(HOSTILE_RECORDS):
        storm.incoming.put(f"cubic/kafka/soak_t1/hostile{number}.json", record)


def _blow(storm: Storm, versions: Iterator[Version], number: int) -> None:
    """Deliver one stretch while workers work and the adversary does harm."""
    options = storm.options
    workers = Workers(storm.home, options.ingests, storm.ingest_command)
    adversary = Adversary(storm.home, workers, options.seed + number)
    pause = options.minutes * 60 / options.loads
    try:
        workers.start_dagster()
        storm.blow()
        adversary.start()
        late: list[tuple[float, Late]] = []
        for version in islice(versions, options.loads // options.stops):
            time.sleep(pause)
            each, sidecar = deliver(storm.incoming, version)
            storm.delivered.append(each)
            late += [(time.monotonic() + LATE_SECONDS, sidecar)] if sidecar else []
            while late and late[0][0] <= time.monotonic():
                storm.incoming.put(late[0][1].key, late.pop(0)[1].body)
        adversary.stop()
        for _, sidecar in late:
            storm.incoming.put(sidecar.key, sidecar.body)
    finally:
        workers.kill_all()
        storm.calm()
    for act, times in adversary.acts.items():
        storm.acts[act] = storm.acts.get(act, 0) + times


def _stop(storm: Storm, number: int) -> None:
    time.sleep(2)  # so that what nobody does for a second is late
    verdict = watch(storm.home, is_over=False)
    storm.verdicts.append(verdict)
    print(
        f"  stop {number}: {len(storm.delivered)} delivered, {verdict.n_findings} findings, {verdict.n_problems} "
        f"problems, {verdict.n_partitions} partitions shown; watchers wrong: {len(verdict.wrong)}",
        flush=True,
    )


def _drain(storm: Storm) -> float:
    """Let ``cubic ingest`` end everything, its clock right; returns the seconds."""
    started = time.monotonic()
    for _ in range(MAX_DRAIN_PASSES):
        done = storm.home.cubic("ingest")
        if done.returncode not in {0, 1}:
            print(f"cubic ingest exited with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
        under_way = "select count(*) from cubic_loads where status not in ('archived', 'errored') or is_replay_due"
        if not query(storm.home, under_way)[0][0]:
            break
        time.sleep(CLAIM_TIMEOUT_SECONDS / 2)
    storm.home.cubic("ingest")  # what the last one made known is told
    return time.monotonic() - started


def _unsettled_hostile(storm: Storm) -> list[str]:
    """Return the hostile objects that are neither a load that ended nor named by the audit."""
    ended = {str(key) for (key,) in query(storm.home, "select s3_key from cubic_loads where status like '%ed'")}
    named = storm.home.cubic("audit").stdout
    if "\x1b" in named:
        return ["cubic audit prints an escape character"]
    return [name for name in storm.hostile if name not in ended and visible(name) not in named]


def _print(storm: Storm, proof: Proof, hostile: list[str], seconds: float) -> bool:
    wrong = [f"stop {number}: {text}" for number, each in enumerate(storm.verdicts, 1) for text in each.wrong]
    # A hostile file is nobody's version, and the proof knows versions only.
    proof.wrong = [text for text in proof.wrong if "nobody delivered" not in text]
    troubles = {
        "lost": proof.lost,
        "doubled": [text for text in proof.doubled if not text.startswith("version 0:")],
        "stuck": proof.stuck,
        "ended wrongly": proof.wrong,
        "hostile names not accounted for": hostile,
        "watchers wrong": wrong,
    }
    lines: list[tuple[str, object]] = [
        ("versions delivered", len(storm.delivered)),
        ("loads", proof.n_loads),
        ("archived", proof.n_archived),
        ("errored as expected", proof.n_errored),
        ("superseded", proof.n_superseded),
        ("rows that stand", proof.n_rows),
        ("hostile names", len(storm.hostile)),
        ("ingests with a wrong clock", storm.n_jumps),
        *sorted((f"{act}: times", times) for act, times in storm.acts.items()),
        ("seconds of draining", round(seconds)),
    ]
    if storm.server:
        harm = storm.server.harm
        lines += [("requests", harm.n_requests), ("harmed", harm.done.total()), ("kinds of harm", len(harm.done))]
    lines += [(name, len(found)) for name, found in troubles.items()]
    print(f"\nseed {storm.options.seed}")
    for name, value in lines:
        print(f"{name:>40}  {f'{value:,}' if isinstance(value, int) else value}")
    for name, found in troubles.items():
        for text in found[:N_SHOWN]:
            print(f"{name}: {text!r}")
    return not any(troubles.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
