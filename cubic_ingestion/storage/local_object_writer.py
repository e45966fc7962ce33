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

_BUFFER_BYTES = 1 << 17
_FOLDER_ATTEMPTS = 100
"""Each but the last is lost only to a process that removes the folder while it is empty."""


class LocalObjectWriter:
    """An object being written to a hidden file in its own folder.

    What a killed process leaves there is never listed, and taken over by the next that writes the same key.
    """

    def __init__(self, key: str, path: Path, etag: Callable[[os.stat_result], str]) -> None:
        self._key = key
        self._path = path
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
            self._draft.replace(self._path)  # while it is open, and so locked: nobody else writes in it
            self._is_published = True
            self._file.close()
        return Committed(self._etag(status), status.st_size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._is_published:
                with translated(self._key):
                    self._draft.unlink(missing_ok=True)
        finally:
            with suppress(StoreUnavailableError):  # what could not be written is thrown away just now
                self._file.close()

    def _create(self) -> tuple[Path, ObjectFile]:
        for _ in range(_FOLDER_ATTEMPTS):
            # mkdir also says "exists" of a folder that was removed before it could look.
            with suppress(FileNotFoundError, FileExistsError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                return open_draft(self._path, self._key)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return open_draft(self._path, self._key)
