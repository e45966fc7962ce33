"""What becomes of a command whose output nobody reads any more, or that cannot be written."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.cli.test_app import CUBIC
from local_servers.environment import clean_environment

COMMANDS = [("audit",), ("tables", "list"), ("tables", "list", "--json"), ("--help",)]


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The end for writing of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"], autouse=True)
def _buffering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often set this, and Python's streams are other objects then."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


def run(home: Path, arguments: tuple[str, ...], out: int | str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment() | {"CUBIC_HOME": str(home)}
    with open(out, "w") as stream:  # noqa: PTH123 - a descriptor has no path
        return subprocess.run(
            [CUBIC, *arguments], stdout=stream, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_that_nobody_reads_any_more_ends_quietly_and_not_as_if_something_was_found(
    cubic: Cubic, home: Path, closed_pipe: int, arguments: tuple[str, ...]
) -> None:
    cubic("db", "upgrade")
    done = run(home, arguments, os.dup(closed_pipe))
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written_is_one_line_and_exit_code_2(
    cubic: Cubic, home: Path, arguments: tuple[str, ...]
) -> None:
    cubic("db", "upgrade")
    done = run(home, arguments, "/dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: The output could not be written (No space left on device).")
    assert "Traceback" not in done.stderr


def test_nothing_is_left_to_say_where_errors_cannot_be_written_either(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    environment = clean_environment() | {"CUBIC_HOME": str(home)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([CUBIC, "audit"], stdout=full, stderr=full, env=environment, check=False)
    assert done.returncode == 2


def test_closed_output_is_exit_code_2_and_nothing_is_done(home: Path) -> None:
    done = shell(home, f"'{CUBIC}' ingest >&-")
    assert done.returncode == 2
    assert done.stderr.startswith("error: The output could not be written (standard output is closed).")
    assert not (home / "metadata.sqlite").exists()


def test_a_command_whose_errors_are_closed_does_its_work(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    done = shell(home, f"'{CUBIC}' audit 2>&-")
    assert done.returncode == 0
    assert done.stdout.startswith("Everything is accounted for.")


def shell(home: Path, line: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment() | {"CUBIC_HOME": str(home)}
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, env=environment, check=False)
