"""Process: which process this is, as the end of every claimant's name says, and whether a named one is gone.

Only processes of the same boot and the same pid namespace can be judged, which Linux's ``/proc`` tells. Wherever that
is not so, nobody is ever said to be gone, and the claims end as they always do: by their time (docs/adr/0023).
"""

import os
import re
import socket
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_NAMED = re.compile(
    r"(?:^|/)(?P<host>[^/:]+):(?P<pid>[1-9]\d{0,6}):(?P<started>\d+):(?P<namespace>\d+):(?P<boot>[0-9a-f-]{36})$"
)
_STATE, _N_THREADS, _STARTED = 0, 17, 19
"""Where these stand in ``/proc/<pid>/stat``, behind the name of the program (fields 3, 20 and 22 in proc(5))."""
_ENDED_STATES = ("Z", "X")


class _Process(NamedTuple):
    pid: int
    started: str
    """Ticks of the machine's clock since its boot: another process with the same pid has another value."""
    here: tuple[str, str, str]
    """Host, pid namespace and boot: a pid means the same process only where these are the same."""


def this_process() -> str:
    """Name this process, so that others can find out whether it is gone: ``<host>:<pid>:<start>:<namespace>:<boot>``.

    Without ``/proc`` the name is ``<host>:<pid>``, which tells people where to look.
    """
    return _name(os.getpid(), _PROC)


def is_gone(holder: str) -> bool:
    """Say whether the process at the end of a holder's name certainly runs no more."""
    process = _named(holder)
    if process is None or process.here != _here():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is another user's, and there
        pass
    stat = _stat(process.pid)
    if stat is None:  # it ended just now, or /proc hides it from us: the next look will tell
        return False
    has_ended = stat[_STATE] in _ENDED_STATES and int(stat[_N_THREADS]) <= 1
    return has_ended or stat[_STARTED] != process.started


def whereabouts(holder: str) -> str:
    """Say in words for people which process a holder is; empty if its name does not tell."""
    found = re.search(r"(?:^|/)([^/:]+):([1-9]\d{0,6})(?::|$)", holder)
    return f"process {found[2]} on {found[1]}" if found else ""


@cache
def _name(pid: int, _proc: Path) -> str:
    """Name this process by its pid; one that is forked from it has another."""
    here, stat = _here(), _stat(pid)
    if here is None or stat is None:
        return f"{socket.gethostname()}:{pid}"
    host, namespace, boot = here
    return f"{host}:{pid}:{stat[_STARTED]}:{namespace}:{boot}"


def _named(holder: str) -> _Process | None:
    found = _NAMED.search(holder)
    return found and _Process(int(found["pid"]), found["started"], (found["host"], found["namespace"], found["boot"]))


def _here() -> tuple[str, str, str] | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = (_PROC / "self/ns/pid").readlink().name.removeprefix("pid:[").removesuffix("]")
    except OSError:
        return None
    return socket.gethostname(), namespace, boot


def _stat(pid: int) -> list[str] | None:
    """Read what follows the program's name, which may have spaces and parentheses of its own."""
    try:
        return (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
