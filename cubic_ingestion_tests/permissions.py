"""Permissions that count for root too, who may read everything as a rule, and who runs the tests in a container."""

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_VERSION = 0x20080522
"""Of the structures below: Linux's third, capset(2)."""
_PASSES_PERMISSIONS = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def permissions_count() -> Generator[None]:
    """Let this thread, and those that it starts, be refused what the permissions of files do not allow."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, found = _Header(_VERSION, 0), (_Capabilities * 2)()
    assert libc.capget(ctypes.byref(header), ctypes.byref(found)) == 0
    before = found[0].effective
    found[0].effective = before & ~_PASSES_PERMISSIONS
    assert libc.capset(ctypes.byref(header), ctypes.byref(found)) == 0
    try:
        yield
    finally:
        found[0].effective = before
        assert libc.capset(ctypes.byref(header), ctypes.byref(found)) == 0


@contextmanager
def without_permission(path: Path) -> Generator[None]:
    """Take every permission from a file or folder for a while."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with permissions_count():
            yield
    finally:
        path.chmod(mode)
