"""A bucket in a local folder."""

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.errors import UnlistedFoldersError
from cubic_ingestion.ports import BucketMissingError, ObjectChangedError, ObjectMissingError, ObjectWriter, TellSkipped
from cubic_ingestion.storage.keys import why_no_key
from cubic_ingestion.storage.local_drafts import is_draft
from cubic_ingestion.storage.local_files import ObjectFile, translated
from cubic_ingestion.storage.local_object_writer import LocalObjectWriter
from cubic_ingestion.storage.local_paths import GONE, folder_and_start, folder_in, folder_of, listing_order, local_key

PAGE_SIZE = 1_000
MAX_ENTRIES = 100_000
"""Entries of one folder that a listing holds at a time; they take some 50 MB."""
BUFFER_BYTES = 1 << 17
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_FIRST_MICROSECOND = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_URI_SAFE = "/!$&'()*+,;=:@"
"""Characters that a path in a URI may have as they are (RFC 3986, section 3.3), so that ``snapshot=`` stays plain."""


class LocalObjectStore:
    """A bucket in a local folder: regular files are objects, their paths below the folder are keys.

    Names that begin with a dot, symbolic links and special files are no objects. A file name that is not UTF-8 is in
    its key as Python decodes it (PEP 383). A folder that does not exist is an empty bucket.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def require(self) -> None:
        """Make sure that the folder is there and can be read.

        Raises:
            BucketMissingError: It is not there, or is no folder.
            StoreUnavailableError: It cannot be read.
        """
        with translated(""):
            try:
                os.scandir(self._root).close()
            except FileNotFoundError as error:
                problem = f"There is no folder '{self._root}'."
                raise BucketMissingError(problem, "Mount or make it, or name the right place.") from error
            except NotADirectoryError as error:
                problem = f"'{self._root}' is a file, and no folder."
                raise BucketMissingError(problem, "Move it away and make the folder, or name another place.") from error

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """Yield the objects whose keys start with ``prefix`` and follow ``after``, 1,000 a page.

        The order is that of the keys' UTF-8 bytes, as in S3. A folder is read when its turn comes, and what vanishes
        meanwhile is left out.

        Raises:
            UnlistedFoldersError: Some folders below cannot be read; raised after the objects of all others.
        """
        folder_key, start = folder_and_start(prefix)
        walk = _Walk(os.fsencode(after), skipped)
        with translated(prefix), suppress(*GONE), folder_of(self._root, folder_key) as folder:
            objects = walk.objects(folder, ".", folder_key, start)
            while page := tuple(islice(objects, PAGE_SIZE)):
                yield page
        if walk.unlisted:
            raise UnlistedFoldersError(prefix, walk.unlisted)

    def prefixes(self, prefix: str) -> Sequence[str]:
        """Return the folders directly below ``prefix`` that hold an object, in order, each ending with ``/``.

        One that cannot be read counts as one that does.
        """
        folder_key, start = folder_and_start(prefix)
        with (
            translated(prefix),
            suppress(*GONE),
            folder_of(self._root, folder_key) as above,
            folder_in(above, ".") as folder,
        ):
            return [
                f"{folder_key}{entry.name}/"
                for entry in _entries(folder, start)
                if _is_folder(entry) and _holds_an_object(folder, entry.name)
            ]
        return ()

    def head(self, key: str) -> ObjectVersion | None:
        """Return the current version of an object, or None if there is none."""
        with translated(key), suppress(*GONE), self._folder(key) as folder:
            status = os.stat(_name(key), dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                return _version(key, status)
        return None

    @contextmanager
    def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
        """Open an object for reading, and make sure that the open file is the version meant.

        Raises:
            ObjectMissingError: There is no such object.
            ObjectChangedError: It is not the version ``etag`` names.
            StoreUnavailableError: The file cannot be read, now or later on.
        """
        with self._opened(key) as file:
            if etag is not None and _etag(os.fstat(file.fileno())) != etag:
                raise ObjectChangedError(key)
            yield BufferedReader(file, BUFFER_BYTES)

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open an object for writing; it stands under its key after ``commit``, whole, or not at all."""
        with LocalObjectWriter(self._root, local_key(key), _etag) as writer:
            yield writer

    def delete(self, key: str, etag: str) -> None:
        """Remove that version of an object, and the folders that become empty.

        A file system cannot compare and remove in one step: a version that arrives in the microseconds between the
        two would go with it.

        Raises:
            ObjectChangedError: Another version stands under the key; it stays.
        """
        version = self.head(key)
        if version is None:
            return
        if version.etag != etag:
            raise ObjectChangedError(key)
        with translated(key), suppress(*GONE), self._folder(key) as folder:
            os.unlink(_name(key), dir_fd=folder)
        self._prune(key)

    def uri(self, key: str) -> str:
        """Return the ``file://`` address of a key or a prefix; other than plain characters are percent-encoded."""
        if key.rstrip("/"):
            local_key(key.removesuffix("/"))
        return "file://" + quote(os.fsencode(f"{self._root}/{key}"), safe=_URI_SAFE)

    def _folder(self, key: str) -> AbstractContextManager[int]:
        return folder_of(self._root, local_key(key))

    @contextmanager
    def _opened(self, key: str) -> Generator[ObjectFile]:
        with translated(key):
            try:
                with self._folder(key) as folder:
                    is_object = stat.S_ISREG(os.stat(_name(key), dir_fd=folder, follow_symlinks=False).st_mode)
                    file = ObjectFile(_name(key), "rb", key, folder=folder) if is_object else None
            except GONE as error:
                raise ObjectMissingError(key) from error
        if file is None:
            raise ObjectMissingError(key)
        with file:
            yield file

    def _prune(self, key: str) -> None:
        # rmdir refuses a folder that got a file, and one that another process removed is not there: both end it.
        with suppress(OSError):
            while "/" in key:
                key = key.rpartition("/")[0]
                with self._folder(key) as above:
                    os.rmdir(_name(key), dir_fd=above)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False) and not why_no_key(entry.name)


def _name(key: str) -> str:
    return key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk through a folder and everything below it."""

    after: bytes = b""
    """Key that the objects follow."""
    skipped: TellSkipped | None = None
    """Called for what is no object."""
    unlisted: dict[str, str] = field(default_factory=dict[str, str])
    """Why a folder below could not be read, by its key; written while the walk goes on."""

    def objects(self, above: int, name: str, folder_key: str, start: str = "") -> Iterator[ObjectVersion]:
        """Yield the objects of a folder, which must be readable itself, and those below it."""
        with suppress(*GONE), folder_in(above, name) as folder:
            for entry in _entries(folder, start):
                key = folder_key + entry.name
                if why := _why_no_object(entry):
                    if self.skipped and os.fsencode(key) > self.after and not is_draft(entry.name):
                        self.skipped(key, why)
                elif entry.is_dir(follow_symlinks=False):
                    if os.fsencode(f"{key}/") >= self.after[: len(os.fsencode(f"{key}/"))]:
                        yield from self.objects_below(folder, entry.name, f"{key}/")
                elif entry.is_file(follow_symlinks=False) and os.fsencode(key) > self.after:
                    with suppress(FileNotFoundError):
                        yield _version(key, entry.stat(follow_symlinks=False))

    def objects_below(self, above: int, name: str, folder_key: str) -> Iterator[ObjectVersion]:
        """Yield the objects of a folder and those below it; if it cannot be read, note why."""
        try:
            yield from self.objects(above, name, folder_key)
        except OSError as error:
            self.unlisted[folder_key] = error.strerror or type(error).__name__


def _holds_an_object(above: int, name: str) -> bool:
    walk = _Walk()
    return any(walk.objects_below(above, name, f"{name}/")) or bool(walk.unlisted)


def _entries(folder: int, start: str) -> "Iterator[os.DirEntry[str]]":
    """Yield the entries of an open folder in order; the folder must stay open as long as the entries are in use.

    A folder with more than ``MAX_ENTRIES`` is read again for those that follow, so that memory stays flat.
    """
    last = b""
    while True:
        with os.scandir(folder) as entries:
            named = (entry for entry in entries if entry.name.startswith(start))
            following = (entry for entry in named if not last or listing_order(entry) > last)
            held = nsmallest(MAX_ENTRIES, following, key=listing_order)
        yield from held
        if len(held) < MAX_ENTRIES:
            return
        last = listing_order(held[-1])


def _why_no_object(entry: "os.DirEntry[str]") -> str:
    """Say why an entry of a folder is neither an object nor a folder of objects; empty if it is one."""
    if why := why_no_key(entry.name):
        return why
    if entry.is_symlink():
        return "it is a symbolic link"
    is_known = entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
    return "" if is_known else "it is a socket, a pipe or a device"


def _version(key: str, status: os.stat_result) -> ObjectVersion:
    microseconds = min(max(status.st_mtime_ns // 1_000, _FIRST_MICROSECOND), _LAST_MICROSECOND)
    return ObjectVersion(key, _etag(status), status.st_size, _EPOCH + timedelta(microseconds=microseconds))


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
