"""Keys to paths and back: which keys a folder can hold, and in which order it lists them."""

import os
from pathlib import Path

from cubic_ingestion.errors import InvalidKeyError

HIDDEN = "."
"""Files and folders whose names begin with it are no objects: unfinished writes, and what editors and systems leave."""


def local_path(root: Path, key: str) -> Path:
    """Return where an object stands below ``root``.

    Raises:
        InvalidKeyError: The key is empty, absolute, has an empty or a hidden segment (``..`` is one), or cannot be
            a file name on this system.
    """
    if any(not segment or segment.startswith(HIDDEN) for segment in key.split("/")):
        raise InvalidKeyError(key, "an empty segment, or one that begins with '.'")
    return root / _encodable(key)


def folder_and_start(root: Path, prefix: str) -> tuple[Path, str, str]:
    """Split a prefix into the folder to walk, that folder's key, and the start of the names wanted in it."""
    folder_key, slash, start = prefix.rpartition("/")
    if not slash:
        return root, "", _encodable(start)
    return local_path(root, folder_key), folder_key + slash, _encodable(start)


def listing_order(entry: "os.DirEntry[str]") -> bytes:
    """Sort key of a folder's entries that puts the keys below them in the order of their UTF-8 bytes, as S3 does."""
    return os.fsencode(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)


def has_symlink(root: Path, path: Path) -> bool:
    """Say whether a folder between ``root`` and ``path`` is a symbolic link; none is followed."""
    return any((root / part).is_symlink() for part in path.relative_to(root).parents)


def _encodable(key: str) -> str:
    try:
        is_possible = b"\0" not in os.fsencode(key)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise InvalidKeyError(key, "characters that no file name can have")
    return key
