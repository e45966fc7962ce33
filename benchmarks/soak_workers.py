"""Who works during the soak, and the adversary that ends them at random moments and holds what they need.

Every process here is one that this module started, or a descendant of one.
"""

import os
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import psutil
from filelock import FileLock, Timeout

from local_servers.environment import beside_python

ROOT = Path(__file__).parent.parent
CLAIM_TIMEOUT_SECONDS = 20
START_SECONDS = 180
SECONDS_BETWEEN_ACTS = 2.5
SECONDS_BETWEEN_INGESTS = 5.0
MAX_AWAITED_SECONDS = 5.0
WEIGHTS = {"run": 40, "ingest": 20, "daemon": 5, "database lock": 15, "catalog lock": 20}

_HELD = "('ingesting', 'archiving', 'erroring')"
_WAITING = "('ready', 'ready_for_archiving', 'ready_for_erroring')"
_WATCH = f"""
create table soak_healed (load_id integer, how text, primary key (load_id, how));
create trigger soak_taken_over after update of claimed_by on cubic_loads
when old.claimed_by <> new.claimed_by
begin insert or ignore into soak_healed values (new.id, 'taken over'); end;
create trigger soak_given_back after update of status on cubic_loads
when old.status in {_HELD} and new.status in {_WAITING} and new.error_code is old.error_code and new.claimed_by is null
and not (old.status = 'ingesting' and new.status = 'ready_for_archiving')
begin insert or ignore into soak_healed values (new.id, 'given back'); end;
create trigger soak_tried_again after update of attempts on cubic_loads when new.attempts > 1
begin insert or ignore into soak_healed values (new.id, 'tried again'); end;
"""
"""An expired claim leaves no trace once another has ended the work, so the database itself notes each as it happens."""


class Home:
    """The folder that everything of one soak is below, and the environment that says so."""

    def __init__(
        self, folder: Path, declarations: str, zones: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.zones = zones or folder
        """Folder above those of Incoming, Archive, Error and Springboard."""
        self.incoming = self.zones / "incoming"
        self.database = folder / "metadata.sqlite"
        instance = folder / "dagster"
        instance.mkdir(parents=True)
        (instance / "dagster.yaml").write_text(
            (ROOT / "dagster.yaml").read_text().replace(".cubic/dagster", str(instance))
        )
        (folder / "tables").mkdir()
        (folder / "tables" / "soak.toml").write_text(declarations)
        mine = {
            "CUBIC_HOME": str(folder),
            "CUBIC_TABLES_DIR": str(folder / "tables"),
            "CUBIC_CLAIM_TIMEOUT_SECONDS": str(CLAIM_TIMEOUT_SECONDS),
            "DAGSTER_HOME": str(instance),
        }
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("CUBIC_", "DAGSTER_"))}
        self.environment = theirs | mine | dict(settings or {})
        upgraded = self.cubic("db", "upgrade")
        if upgraded.returncode:
            raise SystemExit(f"cubic db upgrade: {upgraded.stderr or upgraded.stdout}")
        connection = sqlite3.connect(self.database)
        connection.executescript(_WATCH)
        connection.close()

    def cubic(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [beside_python("cubic"), *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def start(self, command: list[str], log: IO[str]) -> "subprocess.Popen[bytes]":
        """Start a command as the head of a process group of its own."""
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process group at once, as a power cut would."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Workers:
    """``dagster dev`` (sensors, daemon, code server) and some ``cubic ingest`` beside it."""

    def __init__(self, home: Home, n_ingests: int, ingest_command: Callable[[], list[str]] | None = None) -> None:
        self._home = home
        self._ingest_command = ingest_command or (lambda: [beside_python("cubic"), "ingest"])
        self._n_ingests = n_ingests
        self._n_starts = 0
        self._dagster: subprocess.Popen[bytes] | None = None
        self._ingests: list[subprocess.Popen[bytes]] = []
        self._next_ingest_at = 0.0
        self._log = (home.folder / "ingest.log").open("w")
        self.ingest_exits: Counter[int] = Counter()

    def start_dagster(self) -> None:
        """Start ``dagster dev``, and wait until it serves."""
        self._n_starts += 1
        path = self._home.folder / f"dagster-{self._n_starts}.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with path.open("w") as log:
            self._dagster = self._home.start([beside_python("dagster"), "dev", "--port", str(port)], log)
        deadline = time.monotonic() + START_SECONDS
        while "Serving dagster-webserver" not in (said := path.read_text()):
            # It serves without sensors where the definitions do not load; a soak of that would prove nothing.
            if "Error loading ledger location" in said or time.monotonic() > deadline:
                raise SystemExit(f"dagster dev did not start with its sensors; see {path}")
            time.sleep(0.5)

    def kill_dagster(self) -> bool:
        """End sensors, daemon, code server and all runs."""
        if self._dagster is None:
            return False
        kill(self._dagster)
        return True

    def kill_run(self, rng: random.Random) -> bool:
        """End one process that executes a run, every other time the oldest; False if there is none.

        A run starts for longer than it works, so that a choice at random alone would seldom meet one that holds loads.
        """
        runs = self._runs()
        if not runs:
            return False
        try:
            victim = min(runs, key=psutil.Process.create_time) if rng.random() < 1 / 2 else rng.choice(runs)
            victim.kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def kill_ingest(self, rng: random.Random) -> bool:
        """End one ``cubic ingest``; False if there is none."""
        running = [ingest for ingest in self._ingests if ingest.poll() is None]
        if not running:
            return False
        victim = rng.choice(running)
        self._ingests.remove(victim)
        kill(victim)
        return True

    def keep_ingesting(self) -> None:
        """Start another ``cubic ingest`` where one has ended, one at a time."""
        for ended in [ingest for ingest in self._ingests if ingest.poll() is not None]:
            self._ingests.remove(ended)
            self.ingest_exits[ended.returncode] += 1
        if len(self._ingests) < self._n_ingests and time.monotonic() >= self._next_ingest_at:
            self._ingests.append(self._home.start(self._ingest_command(), self._log))
            self._next_ingest_at = time.monotonic() + SECONDS_BETWEEN_INGESTS

    def kill_all(self) -> None:
        """Leave nothing behind."""
        self.kill_dagster()
        for ingest in self._ingests:
            kill(ingest)
        self._ingests.clear()

    def _runs(self) -> list[psutil.Process]:
        """Find the children of the code server that execute runs."""
        if self._dagster is None or self._dagster.poll() is not None:
            return []
        found: list[psutil.Process] = []
        for process in psutil.Process(self._dagster.pid).children(recursive=True):
            try:
                if "multiprocessing.spawn" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


class Adversary(threading.Thread):
    """Does harm at random moments, until it is stopped."""

    def __init__(self, home: Home, workers: Workers, seed: int) -> None:
        super().__init__(name="adversary")
        self._home = home
        self._workers = workers
        self._rng = random.Random(seed)
        self._stopped = threading.Event()
        self.acts: Counter[str] = Counter()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Draw one act after the other."""
        try:
            while not self._stopped.is_set():
                self._workers.keep_ingesting()
                if self._rng.random() < 1 / SECONDS_BETWEEN_ACTS:
                    act = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                    self.acts[act] += self._act(act)()
                self._stopped.wait(1)
        except (OSError, SystemExit, sqlite3.Error) as error:
            self.failure = error

    def stop(self) -> None:
        """Let the last act end, and do no more."""
        self._stopped.set()
        self.join()
        if self.failure:
            raise self.failure

    def _act(self, act: str) -> Callable[[], bool]:
        return {
            "run": lambda: self._await_claim() and self._workers.kill_run(self._rng),
            "ingest": lambda: self._await_claim() and self._workers.kill_ingest(self._rng),
            "daemon": self._kill_daemon,
            "database lock": self._hold_database,
            "catalog lock": self._hold_catalog,
        }[act]

    def _await_claim(self) -> bool:
        """Wait, every other time, until somebody holds loads: small ones are held so shortly that few kills met any."""
        deadline = time.monotonic() + self._rng.choice((0, MAX_AWAITED_SECONDS))
        connection = sqlite3.connect(self._home.database, timeout=5)
        try:
            query = f"select 1 from cubic_loads where status in {_HELD} limit 1"
            while time.monotonic() < deadline and not connection.execute(query).fetchone():
                time.sleep(0.02)
        finally:
            connection.close()
        return True

    def _kill_daemon(self) -> bool:
        was_there = self._workers.kill_dagster()
        self._workers.start_dagster()
        return was_there

    def _hold_database(self) -> bool:
        """Hold the one lock that every writer of the ledger needs."""
        connection = sqlite3.connect(self._home.database, isolation_level=None, timeout=5)
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError:
            return False
        else:
            self._stopped.wait(self._rng.uniform(0.5, 4))
            connection.execute("rollback")
            return True
        finally:
            connection.close()

    def _hold_catalog(self) -> bool:
        try:
            with FileLock(self._home.folder / "catalog.duckdb.lock", timeout=5):
                self._stopped.wait(self._rng.uniform(0.5, 5))
        except Timeout:
            return False
        return True
