"""Dagster as people start it: webserver, daemon and code server as processes, watched over GraphQL."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120
STOP_SECONDS = 30
POLL_SECONDS = 0.5

_LOCATIONS = "{workspaceOrError {... on Workspace {locationEntries {loadStatus locationOrLoadError {__typename}}}}}"
_RUNS = "{runsOrError {... on Runs {results {runId status jobName tags {key value}}}}}"


@dataclass(frozen=True)
class Server:
    """A running Dagster."""

    url: str
    """Where the UI is, without a closing ``/``."""
    log_path: Path
    """What all its processes wrote."""

    def ask(self, query: str) -> dict[str, Any]:
        """Send a GraphQL query, and return its data."""
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - the scheme is ours
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the scheme is ours
            return json.load(answer)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, the newest first."""
        return self.ask(_RUNS)["runsOrError"]["results"]

    def is_up(self) -> bool:
        """Say whether the UI answers and the code is loaded."""
        try:
            entries = self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        loaded = [(entry["loadStatus"], (entry["locationOrLoadError"] or {}).get("__typename")) for entry in entries]
        return loaded == [("LOADED", "RepositoryLocation")]

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_seconds: float) -> float:
        """Ask until it is so; returns the seconds that took, and fails with the end of the log if they run out."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > timeout_seconds:
                end = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-40:])
                raise AssertionError(f"After {timeout_seconds:.0f} s it was not so that {what}. The log ends:\n{end}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started


@contextmanager
def serving(
    command: Sequence[str], root: Path, log_path: Path, environment: Mapping[str, str] | None = None
) -> Generator[Server]:
    """Start Dagster in a folder, wait until it is up, and end all its processes afterwards.

    Args:
        command: What people type, without a port.
        root: The working directory.
        log_path: Where its output goes.
        environment: Variables beside those of this process; none of the platform's or Dagster's is passed on.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CUBIC_", "DAGSTER_"))}
    port = _free_port()
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=root,
            env={**kept, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", log_path)
    try:
        server.wait_until(lambda: process.poll() is not None or server.is_up(), "Dagster is up", START_SECONDS)
        assert process.poll() is None, log_path.read_text(errors="replace")
        yield server
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the first process to end all others, then end whatever of them is left."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
