"""Keys to paths and back: which keys a folder can hold, and in which order it lists them."""

import os
import stat
from pathlib import Path

from cubic_ingestion.errors import InvalidKeyError
from cubic_ingestion.storage.keys import check_key

_REMEMBERED_FOLDERS = 10_000


def local_path(root: Path, key: str) -> Path:
    """Return where an object stands below ``root``.

    Raises:
        InvalidKeyError: The key is empty, absolute, has an empty or a hidden segment (``..`` is one), or cannot be
            a file name on this system.
    """
    return root / _encodable(check_key(key))


def folder_and_start(root: Path, prefix: str) -> tuple[Path, str, str]:
    """Split a prefix into the folder to walk, that folder's key, and the start of the names wanted in it."""
    folder_key, slash, start = prefix.rpartition("/")
    if not slash:
        return root, "", _encodable(start)
    return local_path(root, folder_key), folder_key + slash, _encodable(start)


def listing_order(entry: "os.DirEntry[str]") -> bytes:
    """Sort key of a folder's entries that puts the keys below them in the order of their UTF-8 bytes, as S3 does."""
    return os.fsencode(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)


class RealFolders:
    """Tells folders that are reached without a symbolic link; no link is followed, so that no key leads elsewhere.

    Every access asks, about every folder on the way, so what was once seen to be a real folder is remembered.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._seen: set[str] = {self._root}

    def lead_to(self, path: Path) -> bool:
        """Say whether every folder between the root and ``path`` is real, or not there yet."""
        return self._is_real(str(path.parent))

    def _is_real(self, folder: str) -> bool:
        if folder in self._seen:
            return True
        try:
            is_link = stat.S_ISLNK(os.lstat(folder).st_mode)
        except (FileNotFoundError, NotADirectoryError):  # whoever opens it is told which
            return self._is_real(folder.rpartition("/")[0])
        if is_link or not self._is_real(folder.rpartition("/")[0]):
            return False
        if len(self._seen) >= _REMEMBERED_FOLDERS:
            self._seen = {self._root}
        self._seen.add(folder)
        return True


def _encodable(key: str) -> str:
    try:
        is_possible = b"\0" not in os.fsencode(key)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise InvalidKeyError(key, "characters that no file name can have")
    return key
