"""How an object in S3 is written: in one request if it is small, else in parts, and visible with the last."""

import io
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from typing_extensions import override

from cubic_ingestion.errors import RetriableError
from cubic_ingestion.ports import Committed
from cubic_ingestion.storage.s3_errors import translated

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PART_BYTES = 16 << 20
"""Bytes of a part, one of which is in memory. With 10,000 parts, S3's limit, an object may have 160 GB."""


class S3ObjectWriter(io.RawIOBase):
    """An object being written; leaving without a commit gives up its parts.

    Args:
        client: From boto3.
        bucket: Name of the bucket.
        path: The object's key in the bucket.
        options: What goes with every write: encryption.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - boto3 makes clients at run time
        bucket: str,
        path: str,
        options: Mapping[str, str],
    ) -> None:
        self._client = client
        self._place = {"Bucket": bucket, "Key": path}
        self._options = options
        self._pending = bytearray()
        self._n_bytes = 0
        self._upload: dict[str, str] | None = None
        self._parts: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        """Begin; nothing is sent yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what was not committed."""
        if self._upload is not None:
            with suppress(RetriableError), self._translated():  # the bucket's lifecycle rule ends it then
                self._client.abort_multipart_upload(**self._place, **self._upload)

    @property
    def file(self) -> BinaryIO:
        """Where the bytes go."""
        return cast("BinaryIO", self)

    @override
    def writable(self) -> bool:
        """It is for writing."""
        return True

    @override
    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._n_bytes

    def write(self, data: "ReadableBuffer", /) -> int:
        """Take bytes, and send each part that is full."""
        view = memoryview(data).cast("B")
        self._pending += view
        self._n_bytes += len(view)
        while len(self._pending) >= PART_BYTES:
            self._send(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]
        return len(view)

    def commit(self) -> Committed:
        """Publish what was written, atomically, replacing what was there."""
        with self._translated():
            if self._upload is None:
                done = self._client.put_object(**self._place, **self._options, Body=bytes(self._pending))
            else:
                if self._pending:
                    self._send(bytes(self._pending))
                parts = {"Parts": self._parts}
                done = self._client.complete_multipart_upload(**self._place, **self._upload, MultipartUpload=parts)
                self._upload = None
            etag = done["ETag"].strip('"')
        self._pending.clear()
        return Committed(etag, self._n_bytes)

    def _send(self, part: bytes) -> None:
        with self._translated():
            if self._upload is None:
                begun = self._client.create_multipart_upload(**self._place, **self._options)
                self._upload = {"UploadId": begun["UploadId"]}
            number = len(self._parts) + 1
            sent = self._client.upload_part(**self._place, **self._upload, PartNumber=number, Body=part)
            self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def _translated(self) -> Any:  # noqa: ANN401 - a context manager
        return translated(self._place["Bucket"], self._place["Key"])
