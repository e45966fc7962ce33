"""Iceberg's files go through the bucket, whole or not at all, and none is deleted."""

from pathlib import Path

import pytest

from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.warehouse.locations import location_of
from cubic_ingestion.warehouse.store_file_io import StoreFileIO

KEY = "cubic/sample/metadata/a.avro"


@pytest.fixture
def bucket(tmp_path: Path) -> LocalObjectStore:
    """An empty bucket."""
    return LocalObjectStore(tmp_path)


def _written(bucket: LocalObjectStore, error: Exception | None = None) -> None:
    with StoreFileIO(bucket).new_output(location_of(bucket, KEY)).create() as stream:
        stream.write(b"half")
        if error:
            raise error
        stream.write(b" and half")


def test_what_is_written_can_be_read(bucket: LocalObjectStore) -> None:
    _written(bucket)

    file = StoreFileIO(bucket).new_input(location_of(bucket, KEY))
    with file.open() as stream:
        assert stream.read() == b"half and half"
    assert (len(file), file.exists()) == (13, True)
    output = StoreFileIO(bucket).new_output(location_of(bucket, KEY))
    assert (len(output), output.exists()) == (13, True)


def test_an_error_while_writing_leaves_nothing(bucket: LocalObjectStore) -> None:
    with pytest.raises(RuntimeError):
        _written(bucket, RuntimeError("disk"))

    assert bucket.head(KEY) is None


def test_a_missing_file_is_not_found(bucket: LocalObjectStore) -> None:
    file = StoreFileIO(bucket).new_input(location_of(bucket, KEY))

    assert not file.exists()
    with pytest.raises(FileNotFoundError):
        file.open()
    with pytest.raises(FileNotFoundError):
        len(file)


def test_nothing_is_deleted(bucket: LocalObjectStore) -> None:
    _written(bucket)

    StoreFileIO(bucket).delete(location_of(bucket, KEY))

    assert bucket.head(KEY) is not None


def test_a_location_outside_the_bucket_is_refused(bucket: LocalObjectStore) -> None:
    with pytest.raises(ValueError, match="is not in the warehouse's bucket"):
        StoreFileIO(bucket).new_input("file:///elsewhere/a.avro")
