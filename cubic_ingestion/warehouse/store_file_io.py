"""Iceberg's access to files, through the bucket of the warehouse.

So endpoint, credentials, path style, KMS key, retries and errors are those of all other buckets.
"""

from io import BytesIO
from types import TracebackType
from typing import cast

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from typing_extensions import override

from cubic_ingestion.ports import ObjectMissingError, ObjectStore
from cubic_ingestion.warehouse.locations import key_of


class StoreFileIO(FileIO):
    """Reads and writes metadata, manifest lists and manifests in one bucket, each as a whole. It deletes nothing."""

    def __init__(self, bucket: ObjectStore) -> None:
        super().__init__()
        self._bucket = bucket

    @override
    def new_input(self, location: str) -> InputFile:
        return _StoredFile(location, self._bucket)

    @override
    def new_output(self, location: str) -> OutputFile:
        return _NewFile(location, self._bucket)

    @override
    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete nothing.

        pyiceberg deletes the manifests of a commit that it takes for failed. Such a commit may have succeeded: a
        client that repeats a request after a lost answer is refused the second time. Only ``clean`` deletes.
        """


class _StoredFile(InputFile):
    def __init__(self, location: str, bucket: ObjectStore) -> None:
        super().__init__(location)
        self._bucket = bucket
        self._key = key_of(bucket, location)

    @override
    def __len__(self) -> int:
        version = self._bucket.head(self._key)
        if version is None:
            raise FileNotFoundError(self.location)
        return version.size_bytes

    @override
    def exists(self) -> bool:
        return self._bucket.head(self._key) is not None

    @override
    def open(self, seekable: bool = True) -> InputStream:
        try:
            with self._bucket.open(self._key) as file:
                return cast("InputStream", BytesIO(file.read()))  # whose arguments have other names
        except ObjectMissingError as error:
            raise FileNotFoundError(self.location) from error


class _NewFile(OutputFile):
    def __init__(self, location: str, bucket: ObjectStore) -> None:
        super().__init__(location)
        self._bucket = bucket
        self._key = key_of(bucket, location)

    @override
    def __len__(self) -> int:
        return len(self.to_input_file())

    @override
    def exists(self) -> bool:
        return self.to_input_file().exists()

    @override
    def to_input_file(self) -> InputFile:
        return _StoredFile(self.location, self._bucket)

    @override
    def create(self, overwrite: bool = False) -> OutputStream:
        """Open a new object. Its name has a UUID, so that it replaces nothing."""
        return cast("OutputStream", _Draft(self._bucket, self._key))  # whose arguments have other names


class _Draft(BytesIO):
    """An object in memory. It is published when it is closed, unless an error left its ``with`` block."""

    def __init__(self, bucket: ObjectStore, key: str) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key

    @override
    def close(self) -> None:
        if not self.closed:
            with self._bucket.writer(self._key) as writer:
                writer.file.write(self.getvalue())
                writer.commit()
        super().close()

    @override
    def __exit__(
        self, exctype: type[BaseException] | None, excinst: BaseException | None, exctb: TracebackType | None
    ) -> None:
        if excinst is None:
            self.close()
        else:
            super().close()
