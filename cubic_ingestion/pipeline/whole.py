"""Whole: a body that ends early is a failure of the store, never the end of the file."""

import io
from typing import TYPE_CHECKING, BinaryIO

from typing_extensions import override

from cubic_ingestion.errors import StoreUnavailableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class WholeBody(io.RawIOBase):
    """An object's body, of which it is known how long it is.

    A connection that is closed half-way looks like the end of the file to a parser: a plain CSV file cut off at a line
    end would pass for a shorter one, and a gzip file for a damaged one.
    """

    def __init__(self, body: BinaryIO, key: str, size_bytes: int) -> None:
        self._body = body
        self._key = key
        self._size_bytes = size_bytes

    @override
    def read(self, size: int = -1, /) -> bytes:
        """Read up to so many bytes; all that is left without a size.

        Raises:
            StoreUnavailableError: The body ended before its last byte.
        """
        data = self._body.read(size)
        if (size < 0 or len(data) < size) and (position := self._body.tell()) < self._size_bytes and size != 0:
            raise StoreUnavailableError(self._key, f"it ended after {position} of {self._size_bytes} bytes")
        return data

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into a buffer; as ``read``."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position; the end is where it should be."""
        if whence == io.SEEK_END:
            return self._body.seek(self._size_bytes + offset)
        return self._body.seek(offset, whence)

    @override
    def tell(self) -> int:
        """Return the position."""
        return self._body.tell()

    @override
    def readable(self) -> bool:
        """It is for reading."""
        return True

    @override
    def seekable(self) -> bool:
        """Some records need a second look."""
        return True
