"""Work in a process of its own, so that its peak of memory is its own: how long it takes and what it needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """What some work took."""

    seconds: float
    cpu_seconds: float
    """Of all threads."""
    mib: float
    """The peak of the process's memory."""
    result: Any


def in_a_process(prepare: Callable[..., Callable[[], object]], *arguments: object) -> Measured:
    """Call a function in a new process, and measure the work that it returns; imports and set-up are not in it.

    Raises:
        EOFError: The process died.
    """
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_measure, args=(theirs, prepare, *arguments))
    process.start()
    theirs.close()  # else a process that died would be waited for
    measured = ours.recv()
    process.join()
    return measured


def _measure(results: Connection, prepare: Callable[..., Callable[[], object]], *arguments: object) -> None:
    work = prepare(*arguments)
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    results.send(Measured(seconds, cpu_seconds, _peak_mib(), result))


def _peak_mib() -> float:
    """Return the peak of this process's own memory; ``getrusage`` would begin with that of the parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
