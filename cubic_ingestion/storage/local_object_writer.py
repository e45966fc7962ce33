"""How an object in a local folder is written: beside its place, then moved there in one step."""

import os
from collections.abc import Callable
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.ports import Committed
from cubic_ingestion.storage.local_drafts import open_draft
from cubic_ingestion.storage.local_files import ObjectFile, translated
from cubic_ingestion.storage.local_paths import GONE, folder_of

_BUFFER_BYTES = 1 << 17
_FOLDER_ATTEMPTS = 100
"""Each but the last is lost only to a process that removes the folder while it is empty."""


class LocalObjectWriter:
    """An object being written to a hidden file in its own folder.

    What a killed process leaves there is never listed, and taken over by the next that writes the same key.
    """

    def __init__(self, root: Path, key: str, etag: Callable[[os.stat_result], str]) -> None:
        self._root = root
        self._key = key
        self._name = key.rpartition("/")[2]
        self._etag = etag
        self._is_published = False

    def __enter__(self) -> Self:
        with translated(self._key):
            self._draft, self._raw = self._create()
        self._file = BufferedWriter(self._raw, _BUFFER_BYTES)
        return self

    @property
    def file(self) -> BinaryIO:
        """Where the bytes go."""
        return self._file

    def commit(self) -> Committed:
        """Publish what was written, atomically and on disk, replacing what was there."""
        with translated(self._key):
            self._file.flush()
            os.fsync(self._raw.fileno())
            status = os.fstat(self._raw.fileno())
            with folder_of(self._root, self._key) as folder:  # while the draft is open, and so locked: it is ours alone
                os.replace(self._draft, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            self._is_published = True
            self._file.close()
        return Committed(self._etag(status), status.st_size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._is_published:
                with translated(self._key), suppress(*GONE), folder_of(self._root, self._key) as folder:
                    os.unlink(self._draft, dir_fd=folder)
        finally:
            with suppress(StoreUnavailableError):  # what could not be written is thrown away just now
                self._file.close()

    def _create(self) -> tuple[str, ObjectFile]:
        for _ in range(_FOLDER_ATTEMPTS):
            with suppress(FileNotFoundError):
                return self._in_new_folder()
        return self._in_new_folder()

    def _in_new_folder(self) -> tuple[str, ObjectFile]:
        with folder_of(self._root, self._key, make=True) as folder:
            return open_draft(folder, self._name, self._key)
