"""Standard output and error of the process: any character can be written, and a stream may be closed or full."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

from typing_extensions import override

from cubic_ingestion.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

READER_GONE = 141
"""Exit code when nobody reads standard output any more: the one that a shell shows of a process ended by SIGPIPE."""


def prepare_streams() -> None:
    """Write characters that a stream's encoding does not have as escapes, and guard both streams.

    Raises:
        OutputError: Standard output is closed. What a command would tell is for nobody, and a file that it opens could
            become its output.
    """
    is_closed = _fill_closed("stdout", 1)
    _fill_closed("stderr", 2)
    if is_closed:
        raise OutputError("standard output is closed")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        raw = getattr(stream.buffer, "raw", stream.buffer)  # with PYTHONUNBUFFERED, the one is the other
        if isinstance(raw, io.FileIO):
            stream.flush()
            guarded = _Guarded(stream.fileno(), is_error=name == "stderr")
            buffer = guarded if raw is stream.buffer else io.BufferedWriter(guarded)
            stream = io.TextIOWrapper(
                buffer, stream.encoding, line_buffering=stream.line_buffering, write_through=stream.write_through
            )
            setattr(sys, name, stream)
        stream.reconfigure(errors="backslashreplace")


class _Guarded(io.FileIO):
    """A stream of the process. After a write that failed it drops everything, so that the end of Python cannot fail."""

    def __init__(self, descriptor: int, *, is_error: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._is_error = is_error

    @override
    def write(self, data: "ReadableBuffer", /) -> int | None:
        n_bytes = memoryview(data).nbytes
        try:
            return super().write(data) if n_bytes else 0  # programs ask by an empty write whether a stream takes bytes
        except OSError as error:
            _drop_all(self.fileno())
            if self._is_error:
                return n_bytes  # there is no other stream for the error
            if error.errno == errno.EPIPE:
                raise SystemExit(READER_GONE) from None
            raise OutputError(os.strerror(error.errno or errno.EIO)) from error


def _fill_closed(name: str, descriptor: int) -> bool:
    """Say whether a stream was closed when the process began; what is written to it is dropped then."""
    if getattr(sys, name) is not None:
        return False
    _drop_all(descriptor)
    setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))
    return True


def _drop_all(descriptor: int) -> None:
    dropped = os.open(os.devnull, os.O_WRONLY)
    if dropped != descriptor:
        os.dup2(dropped, descriptor)
        os.close(dropped)
