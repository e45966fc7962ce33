"""What a process is started with: its variables, its port and its command."""

import os
import socket
import sys
from pathlib import Path


def clean_environment() -> dict[str, str]:
    """Return the environment without anything that configures the platform or Dagster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CUBIC_", "DAGSTER_"))}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def beside_python(name: str) -> str:
    """Path of a command of this environment."""
    return str(Path(sys.executable).with_name(name))
