"""Read: open a load's records, where its original lies: in Incoming, in Archive, or, for another try, in Error."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

import pyarrow as pa

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RejectedLoadError, SidecarChangedError
from cubic_ingestion.parsing.records import Records
from cubic_ingestion.pipeline.whole import WholeBody
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore, Stores
from cubic_ingestion.streams import STREAMS

MAX_SIDECAR_BYTES = 8 << 20
"""A ``.dfm`` of 5,000 columns has about 1 MB."""


@dataclass(frozen=True, slots=True)
class Original:
    """Where a file of a load lies."""

    store: ObjectStore
    key: str
    etag: str | None
    """The version meant; None for a file in Archive or Error, where nothing takes its place."""
    size_bytes: int

    @contextmanager
    def open(self) -> Generator[BinaryIO]:
        """Open the version meant, whole."""
        with self.store.open(self.key, self.etag) as body:
            yield cast("BinaryIO", WholeBody(body, self.key, self.size_bytes))


def original_of(stores: Stores, load: Load) -> Original:
    """Say where a load's file lies, by what is on record."""
    size_bytes = load.version.size_bytes
    if load.archive_key:
        return Original(stores.archive, load.archive_key, None, size_bytes)
    if load.error_key:
        return Original(stores.error, load.error_key, None, size_bytes)
    return Original(stores.incoming, load.version.key, load.version.etag, size_bytes)


def sidecar_of(stores: Stores, table: Table, load: Load) -> Original | None:
    """Find a load's sidecar and its version: beside its file; for one in Error also in Incoming, if it came late.

    A sidecar in Incoming beside another version of the file is that one's.
    """
    original, sidecar_key = original_of(stores, load), STREAMS[table.stream].sidecar_key
    beside = sidecar_key(original.key)
    if beside is None:
        return None
    if standing := original.store.head(beside):
        return Original(original.store, beside, standing.etag, standing.size_bytes)
    late = sidecar_key(load.version.key)
    is_in_error = load.error_key is not None and load.archive_key is None
    if not late or not is_in_error or stores.incoming.head(load.version.key):
        return None
    standing = stores.incoming.head(late)
    return Original(stores.incoming, late, standing.etag, standing.size_bytes) if standing else None


@contextmanager
def read(stores: Stores, table: Table, load: Load, *, is_text: bool = False) -> Generator[Records]:
    """Open the records of exactly the version that was registered, with the sidecar that the load was planned with.

    That it still stands is made sure after the last record, before anybody can have published them.

    Args:
        stores: The zones.
        table: The load's table.
        load: The load.
        is_text: Leave every column as text, as raw tables have it anyway.

    Raises:
        RejectedLoadError: The version is gone or was replaced (``superseded``), or the file is not sound.
        SidecarChangedError: The sidecar is gone or was replaced.
    """
    original = original_of(stores, load)
    try:
        with original.open() as body:
            sidecar = _planned_sidecar(stores, table, load)
            records = STREAMS[table.stream].decode(table, body, sidecar, is_text=is_text)
            yield replace(records, batches=_batches_of_version(records.batches, original))
    except (ObjectMissingError, ObjectChangedError) as error:
        raise superseded(load) from error


def read_sidecar(sidecar: Original | None) -> bytes | None:
    """Return the bytes of a sidecar; None if it has none, or is gone, or is another version by now."""
    if sidecar is None:
        return None
    try:
        with sidecar.open() as file:
            data = file.read(MAX_SIDECAR_BYTES + 1)
    except (ObjectMissingError, ObjectChangedError):
        return None
    if len(data) > MAX_SIDECAR_BYTES:
        raise RejectedLoadError("sidecar_invalid", f"'{sidecar.key}' has more than {MAX_SIDECAR_BYTES} bytes.")
    return data or None


def superseded(load: Load) -> RejectedLoadError:
    """Word the reason of a load whose bytes are no longer there."""
    message = (
        f"'{load.version.key}' is no longer the version that was registered (ETag {load.version.etag}); "
        "what stands there now is a load of its own."
    )
    return RejectedLoadError("superseded", message)


def _planned_sidecar(stores: Stores, table: Table, load: Load) -> bytes | None:
    sidecar = sidecar_of(stores, table, load)
    if load.archive_key or load.sidecar_etag is None:
        return read_sidecar(sidecar)
    data = read_sidecar(sidecar) if sidecar and sidecar.etag == load.sidecar_etag else None
    if data is None:
        raise SidecarChangedError(load.version.key, load.sidecar_etag)
    return data


def _batches_of_version(batches: Iterator[pa.RecordBatch], original: Original) -> Iterator[pa.RecordBatch]:
    """Pass batches on, and fail after the last if other bytes have taken the place of the version meant."""
    yield from batches
    standing = original.store.head(original.key) if original.etag is not None else None
    if standing and standing.etag != original.etag:
        raise ObjectChangedError(original.key)
