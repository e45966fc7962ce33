"""Encode: row groups to the bytes of one Parquet file, beside the thread that makes them."""

from contextlib import suppress
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.errors import RetriableError
from cubic_ingestion.parsing.repetitive import repetitive_columns

_MAX_THREADED_COLUMNS = 2_500
"""Row groups of wider files are so large that only one is to be in memory."""


class Encoder:
    """Writes row groups as zstd Parquet.

    Encoding takes about as long as parsing. Once a second row group is to come, they are encoded in a thread of their
    own, one at a time, while one more may wait: with shorter pieces, or more room to wait, both sides only wait more
    or hold more memory. A file of a single row group is not worth a thread.

    A dictionary on a column of near-unique values costs time and bytes, so a sample says which columns get one; the
    least and greatest value of a text cost a fifth of the encoding, and help no query.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._parquet: pq.ParquetWriter | None = None
        self._thread: Thread | None = None
        self._waiting: Queue[pa.Table | None] = Queue(1)
        self._failure: BaseException | None = None

    def add(self, group: pa.Table, *, is_last: bool) -> None:
        """Take a row group.

        Raises:
            Exception: Whatever went wrong with this or one before it.
        """
        if self._thread is None and (is_last or len(self._schema) > _MAX_THREADED_COLUMNS):
            self._encode(group)
            return
        if self._thread is None:
            self._thread = Thread(target=self._encode_all, name="encode", daemon=True)
            self._thread.start()
        self._waiting.put(group)
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the file, or, after an error, only what is under way."""
        if error is not None and self._failure is None:
            self._failure = error  # nothing that still waits is worth encoding
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
        if self._failure is not None:
            self._abandon()
        if error is None:
            self._raise_failure()
            self._finish()

    def _finish(self) -> None:
        """Write the file's end, of which a file without rows consists."""
        parquet = self._parquet or self._opened(dictionaries=[])
        parquet.close()

    def _abandon(self) -> None:
        """Close what pyarrow would else close when the file is no longer open."""
        if self._parquet is not None:
            with suppress(RetriableError, pa.ArrowException):  # not what went wrong, but what came of it
                self._parquet.close()

    def _encode_all(self) -> None:
        """Encode what comes until the end comes; after a failure, only make way."""
        while (group := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    self._encode(group)
                except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
                    self._failure = failure
            del group

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _encode(self, group: pa.Table) -> None:
        if self._parquet is None:
            self._parquet = self._opened(dictionaries=repetitive_columns(group))
        self._parquet.write_table(group, row_group_size=max(1, group.num_rows))

    def _opened(self, dictionaries: list[str]) -> pq.ParquetWriter:
        writer = cast("Any", pq.ParquetWriter)  # its stub knows no lists of columns
        return writer(
            self._file,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionaries,
            write_statistics=[field.name for field in self._schema if not pa.types.is_string(field.type)],
        )
