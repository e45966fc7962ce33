"""Drafts: hidden files in which objects of a local folder are written before they are published.

A key's draft always has the same name and is locked while it is in use, so what a killed process left behind is taken
over by whoever writes that key next, which is the load's next try. A draft in use is left alone, and the key is written
in a spare one.
"""

import fcntl
import hashlib
import os
import re
import uuid
from contextlib import suppress

from cubic_ingestion.storage.keys import HIDDEN
from cubic_ingestion.storage.local_files import ObjectFile

_DRAFT = re.compile(r"\.[0-9a-f]{32}\.tmp")
_LOOKS = 10
"""A draft that is published between being opened and being locked is no longer one."""


def open_draft(folder: int, name: str, key: str) -> tuple[str, ObjectFile]:
    """Open an empty draft of an object in its open folder.

    Args:
        folder: Descriptor of the folder.
        name: The object's name in it.
        key: The object's key, for errors.

    Returns:
        The draft's name in the folder, and its file.
    """
    # Not made from the object's name itself, which may already have the greatest length a name can have.
    own = _hidden(hashlib.sha256(os.fsencode(name)).hexdigest()[:32])
    for _ in range(_LOOKS):
        with suppress(OSError):  # in use, or no file, or no locks here: a spare one does, and its errors count
            if file := _taken(folder, own, key):
                return own, file
            continue
        break
    spare = _hidden(uuid.uuid4().hex)
    return spare, ObjectFile(spare, "xb", key, folder=folder)


def is_draft(name: str) -> bool:
    """Say whether a name is one that drafts have."""
    return _DRAFT.fullmatch(name) is not None


def _hidden(name: str) -> str:
    return f"{HIDDEN}{name}.tmp"


def _taken(folder: int, draft: str, key: str) -> ObjectFile | None:
    """Open and lock a draft, and empty it; None if what was locked stands there no longer."""
    file = ObjectFile(draft, "wb", key, folder=folder)  # not emptied yet: only the owner of the lock may do that
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.stat(draft, dir_fd=folder, follow_symlinks=False)):
            file.truncate(0)
            return file
    except OSError:
        file.close()
        raise
    file.close()
    return None
