"""A production of its own: Redis, code server, daemon and workers as processes, which may be killed one by one."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml
from sqlalchemy import make_url

from local_servers.environment import beside_python, clean_environment, free_port

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
QUEUES = "ods,dmap,kafka,products,dagster"
START_SECONDS = 60
POLL_SECONDS = 0.05


@dataclass
class Production:
    """Processes that share a database, buckets, a catalog and a broker; each has a log of its own."""

    folder: Path
    environment: dict[str, str]
    redis_port: int
    code_port: int
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])

    def start(self, name: str, *command: str) -> None:
        """Start a process as the head of a group of its own."""
        with self.log_path(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def start_broker(self) -> None:
        """Start Redis on its port, with what it had written down."""
        options = ("--bind", "127.0.0.1", "--port", str(self.redis_port), "--dir", str(self.folder))
        self.start("redis", "redis-server", *options, "--save", "", "--appendonly", "yes")
        self.wait_until(lambda: _listens(self.redis_port), "Redis listens")

    def start_dagster(self) -> None:
        """Start code server and daemon."""
        code = ("-m", "cubic_ingestion.definitions", "-h", "127.0.0.1", "-p", str(self.code_port))
        self.start("code", beside_python("dagster"), "code-server", "start", *code)
        self.wait_until(lambda: _listens(self.code_port), "the code server listens")
        self.start("daemon", beside_python("dagster-daemon"), "run", "-w", str(self.folder / "workspace.yaml"))

    def start_worker(self, name: str, queues: str = QUEUES) -> None:
        """Start a Celery worker with one process for runs."""
        worker = ("worker", "-c", "1", "-Q", queues, "-n", f"{name}@%h", "--loglevel", "info")
        self.start(name, beside_python("celery"), "-A", "dagster_celery.app", *worker)

    def kill(self, name: str) -> None:
        """End a process with all its children at once, as a power cut would."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for name in list(self.processes):
            self.kill(name)

    def cubic(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [beside_python("cubic"), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def query(self, statement: str, database: str = "CUBIC_DATABASE_URL") -> list[tuple[Any, ...]]:
        """Ask the ledger, or the one whose URL another variable has."""
        url = make_url(self.environment[database]).set(drivername="postgresql")
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            return connection.execute(statement.encode()).fetchall()

    def log_path(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        """What a process has said."""
        path = self.log_path(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_seconds: float = START_SECONDS) -> float:
        """Wait until it is so; returns the seconds that took, and fails with the ends of all logs if they run out."""
        started = time.monotonic()
        while not condition():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() - started > timeout_seconds:
                ends = "\n".join(f"== {name}\n{self.log(name)[-3000:]}" for name in self.processes)
                why = f"{ended} ended" if ended else f"{timeout_seconds:.0f} s passed"
                raise AssertionError(f"{why}, and it was not so that {what}.\n{ends}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started


def prepare(folder: Path, environment: Mapping[str, str], *, is_hurried: bool = False) -> Production:
    """Lay out the folder of a production, and migrate its ledger.

    Args:
        folder: An empty folder.
        environment: Databases, buckets and AWS's own variables.
        is_hurried: Dagster looks more often, and waits for less long, than in production.
    """
    home = folder / "dagster"
    home.mkdir()
    config = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))
    if is_hurried:
        config["run_monitoring"] |= {"poll_interval_seconds": 5, "start_timeout_seconds": 20}
        config["run_queue"] |= {"dequeue_interval_seconds": 1}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    code_port, redis_port = free_port(), free_port()
    workspace = (DEPLOY / "workspace.yaml").read_text(encoding="utf-8")
    assert "port: 4000" in workspace
    (folder / "workspace.yaml").write_text(workspace.replace("port: 4000", f"port: {code_port}"))
    mine = {
        "CUBIC_HOME": str(folder / "home"),
        "CUBIC_SETTLE_SECONDS": "0",
        "DAGSTER_HOME": str(home),
        "DAGSTER_CELERY_BROKER_URL": f"redis://127.0.0.1:{redis_port}/0",
        "DAGSTER_CELERY_BACKEND_URL": f"redis://127.0.0.1:{redis_port}/1",
        "DAGSTER_CODE_SERVER_HOST": "127.0.0.1",
        "PYTHONPATH": str(DEPLOY),
    }
    production = Production(folder, clean_environment() | mine | dict(environment), redis_port, code_port)
    upgraded = production.cubic("db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    return production


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
