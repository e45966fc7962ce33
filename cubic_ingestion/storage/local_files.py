"""Files whose reads and writes raise the platform's errors, and what the operating system's own errors mean."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from typing import TYPE_CHECKING

from cubic_ingestion.errors import InvalidKeyError, StoreUnavailableError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_NEVER_POSSIBLE = frozenset({errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST})
"""The key is too long, or a folder stands where its file would, or a file where one of its folders would."""


@contextmanager
def translated(key: str) -> Generator[None]:
    """Raise the operating system's errors as the store's.

    Raises:
        InvalidKeyError: The folder can never hold this key beside what it holds.
        StoreUnavailableError: Anything else, no space left and no permission among them.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _NEVER_POSSIBLE:
            raise InvalidKeyError(key, f"a name the folder cannot take ({reason})") from error
        raise StoreUnavailableError(key, reason) from error


class ObjectFile(FileIO):
    """An open object.

    Errors are translated here, not around the caller's block: decoders raise ``OSError`` for bytes that are wrong
    (``gzip.BadGzipFile`` is one), and those must not look as if the store had failed.
    """

    def __init__(self, name: str, mode: str, key: str, *, folder: int) -> None:
        """Open a file in an open folder. A symbolic link is not followed, and nothing is emptied.

        Args:
            name: In the folder.
            mode: As of ``open``.
            key: The object's key, for errors.
            folder: Descriptor of the folder. It may be closed right after.
        """
        self._key = key

        def opened(path: str, flags: int) -> int:
            # Without O_NONBLOCK, a pipe that took the file's place would wait for its other end.
            flags = (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK
            return os.open(path, flags, 0o666, dir_fd=folder)

        super().__init__(name, mode, opener=opened)

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """Read into a buffer."""
        with translated(self._key):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """Read what is left."""
        with translated(self._key):
            return super().readall()

    def write(self, data: "ReadableBuffer", /) -> int | None:
        """Write bytes."""
        with translated(self._key):
            return super().write(data)
