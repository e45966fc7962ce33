"""A bucket in S3, or in what speaks as S3 does."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, BinaryIO, cast

from cubic_ingestion.domain.load import ObjectVersion
from cubic_ingestion.errors import InvalidKeyError, SettingsError, StoreUnavailableError
from cubic_ingestion.ports import BucketMissingError, ObjectChangedError, ObjectMissingError, ObjectWriter, TellSkipped
from cubic_ingestion.storage.keys import MAX_KEY_BYTES, check_key, is_key, why_no_key
from cubic_ingestion.storage.s3_errors import translated
from cubic_ingestion.storage.s3_object_reader import S3ObjectReader
from cubic_ingestion.storage.s3_object_writer import S3ObjectWriter

BUFFER_BYTES = 1 << 20


class S3ObjectStore:
    """Objects below a prefix of a bucket.

    A version is known by its ETag: the same bytes written again are the same version, at a later time. Keys with an
    empty segment, or one that begins with a dot, are no objects, as in a local folder.

    Args:
        client: From boto3.
        bucket: Name of the bucket, versioned or not.
        prefix: What all keys begin with in the bucket: empty, or ending with ``/``.
        options: What goes with every write: encryption.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "", options: Mapping[str, str] | None = None) -> None:  # noqa: ANN401 - boto3 makes clients at run time
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._options = options or {}

    def require(self) -> None:
        """Make sure that the bucket is there and can be listed.

        Raises:
            BucketMissingError: It is not there, or this process may not list it.
        """
        try:
            with translated(self._bucket, self._prefix):
                self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except SettingsError as error:
            raise BucketMissingError(error.what, error.fix) from error
        except ObjectMissingError as error:
            raise BucketMissingError(
                f"There is no bucket '{self._bucket}'.", "Create it, or name another one."
            ) from error

    def list(
        self, prefix: str, *, after: str = "", skipped: TellSkipped | None = None
    ) -> Iterator[Sequence[ObjectVersion]]:
        """Yield the objects whose keys start with ``prefix`` and follow ``after``, 1,000 a page, in S3's order."""
        for page in self._pages(prefix, StartAfter=self._prefix + after):
            with translated(self._bucket, prefix):
                found = [(self._key(entry["Key"]), entry) for entry in page.get("Contents", ())]
                versions = tuple(_version(key, entry, entry["Size"]) for key, entry in found if is_key(key))
                # A folder in S3's console is an empty object whose key ends with a slash.
                no_objects = [key for key, entry in found if not is_key(key) and (entry["Size"] or key[-1:] != "/")]
            if skipped:
                for key in no_objects:
                    skipped(key, why_no_key(key))
            if versions:
                yield versions

    def prefixes(self, prefix: str) -> Sequence[str]:
        """Return the folders directly below ``prefix`` that hold an object, in order, each ending with ``/``."""
        with translated(self._bucket, prefix):
            folders = [
                self._key(entry["Prefix"])
                for page in self._pages(prefix, Delimiter="/")
                for entry in page.get("CommonPrefixes", ())
            ]
        return [folder for folder in folders if is_key(folder.removesuffix("/")) and any(self.list(folder))]

    def head(self, key: str) -> ObjectVersion | None:
        """Return the current version of an object, or None if there is none."""
        place = self._place(key)
        try:
            with translated(self._bucket, key):
                answer = self._client.head_object(**place)
                return _version(key, answer, answer["ContentLength"])
        except ObjectMissingError:
            return None

    @contextmanager
    def open(self, key: str, etag: str | None = None) -> Generator[BinaryIO]:
        """Open an object for reading: all of it is of one version.

        Raises:
            ObjectMissingError: There is no such object.
            ObjectChangedError: It is not the version ``etag`` names.
        """
        path = self._place(key)["Key"]
        with BufferedReader(S3ObjectReader(self._client, self._bucket, path, etag), BUFFER_BYTES) as file:
            yield file

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open an object for writing; it stands under its key after ``commit``, whole, or not at all."""
        path = self._place(key)["Key"]
        with S3ObjectWriter(self._client, self._bucket, path, self._options) as writer:
            yield cast("ObjectWriter", writer)

    def delete(self, key: str, etag: str) -> None:
        """Remove that version of an object. In a versioned bucket it stays below a delete marker.

        The version is compared here and by the server, since some servers ignore ``If-Match``. On those, a version
        that arrives in the milliseconds between the two requests would go with it.

        Raises:
            ObjectChangedError: Another version stands under the key; it stays.
        """
        standing = self.head(key)
        if standing is None:
            return
        if standing.etag != etag:
            raise ObjectChangedError(key)
        try:
            with translated(self._bucket, key):
                self._client.delete_object(**self._place(key), IfMatch=f'"{etag}"')
        except ObjectMissingError:
            return

    def uri(self, key: str) -> str:
        """Return the ``s3://`` address of a key or a prefix."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def _pages(self, prefix: str, **options: str) -> Iterator[Mapping[str, Any]]:
        paginator = self._client.get_paginator("list_objects_v2")
        with translated(self._bucket, prefix):
            for page in paginator.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **options):
                if "IsTruncated" not in page:  # a proxy's page names no objects either
                    raise StoreUnavailableError(prefix, "the answer is no listing")
                yield page

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + _checked(key, self._prefix)}

    def _key(self, path: str) -> str:
        return path.removeprefix(self._prefix)


def _checked(key: str, prefix: str) -> str:
    try:
        n_bytes = len((prefix + check_key(key)).encode())
    except UnicodeEncodeError as error:
        raise InvalidKeyError(key, "characters that are no UTF-8") from error
    if n_bytes > MAX_KEY_BYTES:
        raise InvalidKeyError(key, f"more than {MAX_KEY_BYTES} bytes")
    if "\0" in key:
        raise InvalidKeyError(key, "a zero byte")
    return key


def _version(key: str, answer: Mapping[str, Any], size_bytes: int) -> ObjectVersion:
    return ObjectVersion(key, answer["ETag"].strip('"'), size_bytes, answer["LastModified"])
