"""How an object in S3 is read: one stream, taken up again where it broke off, and always the same version."""

import io
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, HTTPClientError
from typing_extensions import override
from urllib3.exceptions import HTTPError

from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.ports import ObjectChangedError
from cubic_ingestion.storage.s3_errors import translated

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_RESUMES = 5
"""Times that a body which broke off is asked for again without having brought a byte."""
_BROKEN = (BotoCoreError, HTTPClientError, HTTPError, ConnectionError, TimeoutError)


class S3ObjectReader(io.RawIOBase):
    """The body of one version.

    Args:
        client: From boto3.
        bucket: Name of the bucket.
        path: The object's key in the bucket.
        etag: The version; whichever stands there if None.

    Raises:
        ObjectMissingError: There is no such object.
        ObjectChangedError: It is another version.
    """

    def __init__(self, client: Any, bucket: str, path: str, etag: str | None) -> None:  # noqa: ANN401 - boto3 makes clients at run time
        self._client = client
        self._place = {"Bucket": bucket, "Key": path}
        self._etag = etag
        self._position = 0
        self._body: Any = None
        self._size_bytes = 0
        self._body = self._request()  # here, so that another version is noticed before anybody reads

    @override
    def readable(self) -> bool:
        """It is for reading."""
        return True

    @override
    def seekable(self) -> bool:
        """A new request begins anywhere."""
        return True

    @override
    def tell(self) -> int:
        """Return the position."""
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position; nothing is asked for before the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if start + offset != self._position:
            self._drop()
            self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into a buffer.

        Raises:
            ObjectChangedError: Another version stands there by now, so that the rest cannot be had.
            StoreUnavailableError: S3 breaks off again and again.
        """
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size_bytes - self._position)
        if wanted <= 0:
            return 0
        data = self._next(wanted)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    @override
    def close(self) -> None:
        """Give the connection back."""
        self._drop()
        super().close()

    def _next(self, wanted: int) -> bytes:
        reason = "it ended early"
        for _ in range(MAX_RESUMES):
            try:
                self._body = self._body or self._request()
                if data := self._body.read(wanted):
                    return bytes(data)
            except _BROKEN as error:
                reason = str(error)
            self._drop()
        raise StoreUnavailableError(self._place["Key"], reason)

    def _request(self) -> Any:  # noqa: ANN401 - botocore's streaming body
        """Return the body from the position on.

        Some servers ignore ``If-Match``, and some ignore ``Range``. So the answer is compared with what was asked for.
        """
        asked = {"IfMatch": f'"{self._etag}"'} if self._etag else {}
        if start := self._position:
            asked["Range"] = f"bytes={start}-"
        with translated(self._place["Bucket"], self._place["Key"]):
            answer = self._client.get_object(**self._place, **asked)
            body, etag, n_bytes = answer["Body"], answer["ETag"].strip('"'), answer["ContentLength"]
        if self._etag not in (None, etag):
            body.close()
            raise ObjectChangedError(self._place["Key"])
        if start and not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
            body.close()
            raise StoreUnavailableError(self._place["Key"], f"the server does not read from byte {start} on")
        self._etag = etag
        self._size_bytes = start + n_bytes
        return body

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
