"""Drafts: hidden files in which objects of a local folder are written before they are published.

A key's draft always has the same name and is locked while it is in use, so what a killed process left behind is taken
over by whoever writes that key next, which is the load's next try. A draft in use is left alone, and the key is written
in a spare one.
"""

import fcntl
import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

from cubic_ingestion.storage.keys import HIDDEN
from cubic_ingestion.storage.local_files import ObjectFile

_LOOKS = 10
"""A draft that is published between being opened and being locked is no longer one."""


def open_draft(path: Path, key: str) -> tuple[Path, ObjectFile]:
    """Open an empty draft of the object at ``path``; its folder must be there."""
    # Not made from the object's name itself, which may already have the greatest length a name can have.
    own = _hidden(path, hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32])
    for _ in range(_LOOKS):
        with suppress(OSError):  # in use, or no file, or no locks here: a spare one does, and its errors count
            if file := _taken(own, key):
                return own, file
            continue
        break
    spare = _hidden(path, uuid.uuid4().hex)
    return spare, ObjectFile(spare, "xb", key)


def _hidden(path: Path, name: str) -> Path:
    return path.with_name(f"{HIDDEN}{name}.tmp")


def _taken(draft: Path, key: str) -> ObjectFile | None:
    """Open and lock a draft, and empty it; None if what was locked stands there no longer."""
    file = ObjectFile(draft, "wb", key, opener=_as_it_is)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.lstat(draft)):
            file.truncate(0)
            return file
    except OSError:
        file.close()
        raise
    file.close()
    return None


def _as_it_is(path: str, flags: int) -> int:
    """Open without emptying, which only the owner of the lock may do, and without following a link."""
    return os.open(path, (flags & ~os.O_TRUNC) | os.O_NOFOLLOW, 0o666)
