"""The bytes inside a file: gzip undone, plain files as they are, told apart by their first bytes."""

import io
from dataclasses import dataclass
from typing import BinaryIO, cast

from isal import igzip, igzip_lib

from cubic_ingestion.domain.table import MOST_INFLATED_BYTES, MOST_INFLATION_RATIO
from cubic_ingestion.errors import RejectedLoadError

GZIP_MAGIC = b"\x1f\x8b"
"""First two bytes of every gzip member (RFC 1952, section 2.3.1)."""


_DAMAGE: tuple[type[Exception], ...] = (EOFError, igzip.BadGzipFile, cast("type[Exception]", igzip_lib.IsalError))


@dataclass(frozen=True, slots=True)
class InflateLimits:
    """How far a file may inflate before it is taken for one that means harm."""

    most_bytes: int = MOST_INFLATED_BYTES
    most_ratio: int = MOST_INFLATION_RATIO
    """Inflated bytes for each compressed one, once 64 MiB have come; gzip reaches 1,032 at the most."""


_HARMLESS_BYTES = 64 << 20
_DEFAULT_LIMITS = InflateLimits()


def open_text(body: BinaryIO, limits: InflateLimits = _DEFAULT_LIMITS) -> BinaryIO:
    """Open what a file holds, inflated if it is gzip, whatever its name says.

    Several gzip members in a row are one text, and zero bytes after the last are padding (both as gzip has it).
    Memory stays bounded by about 1 MB.

    Args:
        body: The file, at its start; seekable.
        limits: How far it may inflate.

    Returns:
        A stream for reading. Reading from it may raise ``RejectedLoadError``: ``gzip_damaged`` if the gzip stream is
        cut short, its bytes do not fit its checksum or something else follows it; ``gzip_bomb`` if it inflates further
        than it may.

    Raises:
        RejectedLoadError: ``empty_file``, if there is not one byte.
    """
    start = body.read(len(GZIP_MAGIC))
    if not start:
        raise empty_file()
    body.seek(-len(start), io.SEEK_CUR)
    return cast("BinaryIO", _Inflated(body, limits)) if start == GZIP_MAGIC else body


def empty_file() -> RejectedLoadError:
    """Return the rejection of a file without content."""
    return RejectedLoadError(
        "empty_file", "The file holds no bytes, not even a header. Have the vendor deliver it again."
    )


def read_up_to(text: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, or fewer if the stream ends before."""
    parts: list[bytes] = []
    while size > 0 and (part := text.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Inflated:
    """A gzip stream that says of damage what it means for the load."""

    def __init__(self, body: BinaryIO, limits: InflateLimits) -> None:
        self._body = body
        self._limits = limits
        self._n_bytes = 0
        self._gzip = igzip.IGzipFile(fileobj=body, mode="rb")

    def read(self, size: int = -1) -> bytes:
        data = self._read(size)
        self._n_bytes += len(data)
        if self._n_bytes > _HARMLESS_BYTES and self._n_bytes > self._limits.most_ratio * self._body.tell():
            raise _bomb(f"to more than {self._limits.most_ratio} times its size", "max_inflation_ratio")
        if self._n_bytes > self._limits.most_bytes:
            raise _bomb(f"to more than {self._limits.most_bytes} bytes", "max_inflated_bytes")
        return data

    def _read(self, size: int) -> bytes:
        try:
            return self._gzip.read(size)
        except _DAMAGE as error:
            raise RejectedLoadError(
                "gzip_damaged",
                f"The gzip stream is damaged ({error}). Have the vendor deliver the file again.",
            ) from error


def _bomb(how_far: str, field: str) -> RejectedLoadError:
    return RejectedLoadError(
        "gzip_bomb",
        f"The gzip stream inflates {how_far}. If that is right, raise '{field}' in the table's declaration and retry.",
    )
