"""Read: open a load's records, from Incoming or, once it is archived, from Archive."""

from collections.abc import Generator
from contextlib import contextmanager

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RejectedLoadError
from cubic_ingestion.parsing.records import Records
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore, Stores
from cubic_ingestion.streams import STREAMS

MAX_SIDECAR_BYTES = 8 << 20
"""A ``.dfm`` of 5,000 columns has about 1 MB."""


@contextmanager
def read(stores: Stores, table: Table, load: Load) -> Generator[Records]:
    """Open the records of exactly the version that was registered.

    Raises:
        RejectedLoadError: The version is gone or was replaced (``superseded``), or the file is not sound.
    """
    store, key, etag = stores.incoming, load.version.key, load.version.etag
    if load.archive_key:
        store, key, etag = stores.archive, load.archive_key, None
    try:
        with store.open(key, etag) as body:
            yield STREAMS[table.stream].decode(table, body, read_sidecar(store, table, key))
        if etag is not None and (version := store.head(key)) and version.etag != etag:
            raise ObjectChangedError(key)
    except (ObjectMissingError, ObjectChangedError) as error:
        raise superseded(load) from error


def read_sidecar(store: ObjectStore, table: Table, key: str) -> bytes | None:
    """Return the bytes of the sidecar of the file under ``key``; None if it has none, or none yet."""
    sidecar_key = STREAMS[table.stream].sidecar_key(key)
    if sidecar_key is None:
        return None
    try:
        with store.open(sidecar_key) as file:
            data = file.read(MAX_SIDECAR_BYTES + 1)
    except ObjectMissingError:
        return None
    if len(data) > MAX_SIDECAR_BYTES:
        raise RejectedLoadError("sidecar_invalid", f"'{sidecar_key}' has more than {MAX_SIDECAR_BYTES} bytes.")
    return data or None


def superseded(load: Load) -> RejectedLoadError:
    """Word the reason of a load whose bytes are no longer there."""
    message = (
        f"'{load.version.key}' is no longer the version that was registered (ETag {load.version.etag}); "
        "what stands there now is a load of its own."
    )
    return RejectedLoadError("superseded", message)
