"""Keys and folders of a local bucket: which keys it can hold, in which order it lists them, how folders are opened.

No symbolic link is followed, so that no key leads out of the bucket. A check of a path would say nothing about the
moment of its use, when a link may stand in the place of a folder. So each folder is opened in the one above it, and a
file is named in its open folder.
"""

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from cubic_ingestion.errors import InvalidKeyError
from cubic_ingestion.storage.keys import check_key

GONE = (FileNotFoundError, NotADirectoryError)
"""A folder or a file is not there, or something else stands in the place of a folder."""
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASS_THROUGH = os.O_PATH if sys.platform == "linux" else os.O_RDONLY
"""A folder that may not be listed may lead to one that may, which only Linux can express."""
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})


def local_key(key: str) -> str:
    """Return a key that a folder can hold.

    Raises:
        InvalidKeyError: The key is empty, absolute, has an empty or a hidden segment (``..`` is one), or cannot be
            a file name on this system.
    """
    return _encodable(check_key(key))


def folder_and_start(prefix: str) -> tuple[str, str]:
    """Split a prefix into the key of the folder to walk, ending with ``/``, and the start of the names wanted in it.

    Raises:
        InvalidKeyError: As for ``local_key``.
    """
    folder, slash, start = prefix.rpartition("/")
    return (local_key(folder) + slash if slash else ""), _encodable(start)


def listing_order(entry: "os.DirEntry[str]") -> bytes:
    """Sort key of a folder's entries that puts the keys below them in the order of their UTF-8 bytes, as S3 does."""
    return os.fsencode(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)


@contextmanager
def folder_of(root: Path, key: str, *, make: bool = False) -> Generator[int]:
    """Open the folder that an object stands in; gives its descriptor.

    Args:
        root: The bucket's folder, which may be reached through links.
        key: Of the object, or of a folder if it ends with ``/``.
        make: Make the folders that are not there.

    Raises:
        FileNotFoundError: A folder is not there.
        NotADirectoryError: Something else stands in its place, for example a symbolic link.
        OSError: The operating system refuses it.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, (_FOLDER | _PASS_THROUGH) & ~os.O_NOFOLLOW)
    try:
        for name in key.split("/")[:-1]:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
            above, folder = folder, _open_folder(folder, name, _PASS_THROUGH)
            os.close(above)
        yield folder
    finally:
        os.close(folder)


@contextmanager
def folder_in(folder: int, name: str) -> Generator[int]:
    """Open a folder in an open one, to list it; gives its descriptor.

    Raises:
        FileNotFoundError: It is not there.
        NotADirectoryError: Something else stands in its place, for example a symbolic link.
        OSError: The operating system refuses it.
    """
    below = _open_folder(folder, name, os.O_RDONLY)
    try:
        yield below
    finally:
        os.close(below)


def _open_folder(above: int, name: str, access: int) -> int:
    try:
        return os.open(name, _FOLDER | access, dir_fd=above)
    except OSError as error:
        if error.errno in _NO_FOLDER:
            raise NotADirectoryError(errno.ENOTDIR, f"{name!r} is a file or a symbolic link, not a folder") from error
        raise


def _encodable(key: str) -> str:
    try:
        is_possible = b"\0" not in os.fsencode(key)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise InvalidKeyError(key, "characters that no file name can have")
    return key
