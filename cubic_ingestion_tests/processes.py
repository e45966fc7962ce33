"""Other processes, which claim something and die."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

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


def a_dead_holder() -> str:
    """Return the name of a claimant whose process was killed."""
    with another_process() as (other, claimant):
        other.kill()
        other.wait()
    return claimant
