"""``make soak``: sensors, daemon and workers under fire, then the proof that nothing was lost, doubled or stuck.

Loads of all kinds, good and bad, are delivered over a bounded time while an adversary ends runs, daemons and ingests by
SIGKILL, holds the locks of database and catalog, and new versions overwrite files at any moment. Then deliveries and
adversary stop, everything drains, and two proofs must agree: ``cubic audit``, and a comparison of every row with what
was delivered. The same seed delivers and draws the same; what coincides with what is up to the machine.
"""

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak_check import Proof, prove
from benchmarks.soak_deliveries import Delivered, FolderIncoming, Late, declarations, deliver, drawn
from benchmarks.soak_workers import CLAIM_TIMEOUT_SECONDS, Adversary, Home, Workers

LATE_SECONDS = 5
NO_PROGRESS_SECONDS = 90
"""The daemon's own draining ends if nothing ended for so long; ``cubic ingest`` does the rest."""
MAX_LEFTOVER_PASSES = 10
N_TOLD = 10


@dataclass
class Figures:
    """What a soak came to."""

    seed: int
    proof: Proof = field(default_factory=Proof)
    findings: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    lines: list[tuple[str, object]] = field(default_factory=list[tuple[str, object]])

    @property
    def troubles(self) -> dict[str, Sequence[object]]:
        """What must be empty."""
        proof = self.proof
        named = {"lost": proof.lost, "doubled": proof.doubled, "stuck": proof.stuck, "ended wrongly": proof.wrong}
        return {**named, "audit findings": self.findings}


def main(arguments: Sequence[str]) -> int:
    """Soak, prove and print; 1 if anything is not as it should be."""
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="cubic-soak-"))
    print(f"seed {options.seed}, home {folder}", flush=True)
    home = Home(folder, declarations())
    figures = Figures(options.seed)
    delivered = _under_fire(home, options, figures)
    _leftovers(home, figures)
    _audit(home, figures)
    figures.proof = prove(home.folder, home.zones, delivered)
    _print(home, figures, delivered)
    if any(figures.troubles.values()):
        print(f"The home is kept: {folder}")
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=10_000, help="versions to deliver")
    parser.add_argument("--minutes", type=float, default=10, help="over how long")
    parser.add_argument("--ingests", type=int, default=2, help="how many 'cubic ingest' beside the daemon")
    parser.add_argument("--drain-minutes", type=float, default=10, help="how long the daemon may take for the rest")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="what is drawn from")
    parser.add_argument("--keep", action="store_true", help="keep the home even if all is well")
    return parser.parse_args(arguments)


def _under_fire(home: Home, options: argparse.Namespace, figures: Figures) -> list[Delivered]:
    """Deliver while workers work and the adversary does harm; then let the daemon drain alone."""
    workers = Workers(home, options.ingests)
    adversary = Adversary(home, workers, options.seed)
    try:
        workers.start_dagster()
        started = time.monotonic()
        adversary.start()
        try:
            delivered = _deliver(home, options)
            figures.lines.append(("seconds of deliveries", round(time.monotonic() - started)))
        finally:
            adversary.stop()
        figures.lines.append(("loads that had ended by then", _n_ended(home)))
        drained = time.monotonic()
        _drain(home, options.drain_minutes * 60)
        figures.lines.append(("seconds of draining", round(time.monotonic() - drained)))
        figures.lines.append(("runs of Dagster by status", _run_statuses(home)))
    finally:
        workers.kill_all()
    figures.lines += [(name, adversary.acts[act]) for act, name in _ACTS.items()]
    figures.lines.append(("ingests that ended by themselves, by exit code", dict(sorted(workers.ingest_exits.items()))))
    return delivered


_ACTS = {
    "run": "runs killed",
    "daemon": "daemons killed",
    "ingest": "ingests killed",
    "database lock": "times the database was held",
    "catalog lock": "times the catalog was held",
}


def _deliver(home: Home, options: argparse.Namespace) -> list[Delivered]:
    """Put versions into Incoming at an even pace."""
    started = time.monotonic()
    pause = options.minutes * 60 / options.loads
    delivered: list[Delivered] = []
    incoming = FolderIncoming(home.incoming)
    late: list[tuple[float, Late]] = []
    for version in drawn(options.seed, options.loads):
        time.sleep(max(0.0, started + version.number * pause - time.monotonic()))
        while late and late[0][0] <= time.monotonic():
            incoming.put(late[0][1].key, late.pop(0)[1].body)
        each, sidecar = deliver(incoming, version)
        delivered.append(each)
        late += [(time.monotonic() + LATE_SECONDS, sidecar)] if sidecar else []
        if version.number % 500 == 0:
            print(f"  {version.number} delivered, {_n_ended(home)} ended", flush=True)
    for _, sidecar in late:
        incoming.put(sidecar.key, sidecar.body)
    return delivered


def _drain(home: Home, limit_seconds: float) -> None:
    """Wait until all that was delivered has ended, or nothing ends any more."""
    deadline = time.monotonic() + limit_seconds
    n_ended, progressed_at = -1, time.monotonic()
    while time.monotonic() < min(deadline, progressed_at + NO_PROGRESS_SECONDS):
        if _n_ended(home) != n_ended:
            n_ended, progressed_at = _n_ended(home), time.monotonic()
        if not _is_work_left(home):
            return
        time.sleep(2)


def _leftovers(home: Home, figures: Figures) -> None:
    """Do by hand what the daemon had no time for; claims of the killed must expire first."""
    started = time.monotonic()
    figures.lines.append(("loads left for a last 'cubic ingest'", _n_under_way(home)))
    for _ in range(MAX_LEFTOVER_PASSES):
        if not _is_work_left(home):
            break
        time.sleep(CLAIM_TIMEOUT_SECONDS / 2)
        done = home.cubic("ingest")
        if done.returncode not in {0, 1}:
            print(f"cubic ingest exited with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    figures.lines.append(("seconds of leftovers", round(time.monotonic() - started)))


def _audit(home: Home, figures: Figures) -> None:
    started = time.monotonic()
    done = home.cubic("audit", "--json")
    try:
        figures.findings = json.loads(done.stdout)["findings"]
    except (ValueError, KeyError):
        figures.findings = [{"code": f"cubic audit exited with {done.returncode}", "problem": done.stderr[-2000:]}]
    figures.lines.append(("seconds of 'cubic audit'", round(time.monotonic() - started)))


def _n_ended(home: Home) -> int:
    return _count(home, "select count(*) from cubic_loads where status in ('archived', 'errored')")


def _n_under_way(home: Home) -> int:
    return _count(home, "select count(*) from cubic_loads where status not in ('archived', 'errored') or is_replay_due")


def _is_work_left(home: Home) -> bool:
    lies_there = any(path.is_file() and path.suffix != ".dfm" for path in home.incoming.rglob("[!.]*"))
    return lies_there or _n_under_way(home) > 0


def _count(home: Home, query: str) -> int:
    connection = sqlite3.connect(home.database, timeout=30)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def _run_statuses(home: Home) -> dict[str, int]:
    connection = sqlite3.connect(home.folder / "dagster" / "history" / "runs.db", timeout=30)
    try:
        return dict(connection.execute("select status, count(*) from runs group by status"))
    finally:
        connection.close()


def _healed(home: Home) -> list[tuple[str, object]]:
    """Count loads that ended although somebody who held them did not end them."""
    connection = sqlite3.connect(home.database, timeout=30)
    try:
        ways = dict(connection.execute("select how, count(*) from soak_healed group by how order by how"))
        n_loads = connection.execute("select count(distinct load_id) from soak_healed").fetchone()[0]
    finally:
        connection.close()
    return [("healed", n_loads), *((f"  {how}", n) for how, n in ways.items())]


def _print(home: Home, figures: Figures, delivered: Sequence[Delivered]) -> None:
    proof = figures.proof
    lines: list[tuple[str, object]] = [
        ("versions delivered", len(delivered)),
        ("overwritten before a scan saw them", proof.n_never_seen),
        ("loads", proof.n_loads),
        ("archived", proof.n_archived),
        ("rows that stand", proof.n_rows),
        ("errored as expected", proof.n_errored),
        ("  overwritten before they were moved to Error", proof.n_reason_alone),
        ("superseded", proof.n_superseded),
        ("withdrawn", len(proof.withdrawn)),
        *_healed(home),
        *figures.lines,
        *((name, len(troubles)) for name, troubles in figures.troubles.items()),
    ]
    print(f"\nseed {figures.seed}")
    for name, value in lines:
        print(f"{name:>48}  {f'{value:,}' if isinstance(value, int) else value}")
    for name, troubles in (("withdrawn", proof.withdrawn), *figures.troubles.items()):
        for trouble in troubles[:N_TOLD]:
            print(f"{name}: {trouble}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
