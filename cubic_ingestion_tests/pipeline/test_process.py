"""Whether a process that a claimant's name says is gone: real processes, asked of this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cubic_ingestion.pipeline import process
from cubic_ingestion.pipeline.claim import claimant_of
from cubic_ingestion.pipeline.process import is_gone, this_process, whereabouts

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells")

_SAY_WHO_YOU_ARE = (
    "from cubic_ingestion.pipeline.claim import claimant_of\nprint(claimant_of('run'), flush=True)\ninput()"
)


@contextmanager
def another_process() -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start a process, and learn the claimant's name that it takes."""
    with subprocess.Popen(
        [sys.executable, "-c", _SAY_WHO_YOU_ARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        try:
            yield other, other.stdout.readline().strip()
        finally:
            other.kill()


def test_this_process_is_not_gone() -> None:
    assert not is_gone(claimant_of("run"))
    assert whereabouts(claimant_of("run")) == f"process {os.getpid()} on {os.uname().nodename}"


def test_another_process_is_gone_once_it_was_killed_whether_or_not_anybody_has_noticed() -> None:
    with another_process() as (other, claimant):
        assert claimant.startswith("run/")
        assert not is_gone(claimant)
        os.kill(other.pid, signal.SIGKILL)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie until somebody waits for it
        assert is_gone(claimant)
        other.wait()
        assert is_gone(claimant)


def test_another_process_that_has_got_the_same_number_is_not_the_one_that_is_meant() -> None:
    host, pid, started, namespace, boot = this_process().split(":")
    assert is_gone(f"run/token/{host}:{pid}:{int(started) + 1}:{namespace}:{boot}")


@pytest.mark.parametrize("part", ["host", "namespace", "boot"])
def test_what_runs_elsewhere_is_never_judged(part: str) -> None:
    host, pid, started, namespace, boot = this_process().split(":")
    named = {"host": host, "pid": pid, "started": f"{int(started) + 1}", "namespace": namespace, "boot": boot}
    elsewhere = {"host": "another", "namespace": "1", "boot": "00000000-0000-0000-0000-000000000000"}
    assert not is_gone(":".join((named | {part: elsewhere[part]}).values()))


@pytest.mark.parametrize("holder", ["", "run-1/a", "worker/4242/0badcafe", "a:0:1:2:3", "run/token/mac.local:4242"])
def test_a_name_that_does_not_say_everything_is_never_judged(holder: str) -> None:
    assert not is_gone(holder)


def test_where_nothing_tells_about_processes_nobody_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_process() as (other, claimant):
        other.kill()
        other.wait()
        monkeypatch.setattr(process, "_PROC", tmp_path)
        assert not is_gone(claimant)
        assert this_process() == f"{os.uname().nodename}:{os.getpid()}"
        assert whereabouts(this_process()) == f"process {os.getpid()} on {os.uname().nodename}"
