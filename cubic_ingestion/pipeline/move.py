"""Move: all files of a load from one zone to another, verified before anything is deleted."""

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

from cubic_ingestion.domain.layout import Filing
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.pipeline.read import superseded
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore
from cubic_ingestion.streams import STREAMS

_PIECE_BYTES = 1 << 20

_UNKNOWN = -1
"""Stands for the owner of an object that no load on record accounts for."""


@dataclass(frozen=True, slots=True)
class _Copied:
    key: str
    etag: str


def move_load(source: ObjectStore, destination: ObjectStore, table: Table, load: Load, filing: Filing) -> str:
    """Copy a load's file and sidecar from Incoming, verify both, then delete the copied versions.

    A move that was cut short at any point is finished by calling this again.

    Returns:
        The key of the load's file in the destination.

    Raises:
        RejectedLoadError: The registered version is neither at the source nor, in full, at the destination.
    """
    key = load.version.key
    copied = [_copy(source, key, load.version.etag, destination=destination, to_key=filing.key(key), load=load)]
    sidecar_key = STREAMS[table.stream].sidecar_key(key)
    if sidecar_key and (sidecar := source.head(sidecar_key)):
        to_key = filing.key(sidecar_key)
        copied.append(_copy(source, sidecar_key, sidecar.etag, destination=destination, to_key=to_key, load=load))
    for done in copied:
        if done:
            _delete(source, done)
    return filing.key(key)


def copy_verified(source: ObjectStore, key: str, etag: str | None, destination: ObjectStore, to_key: str) -> None:
    """Copy one object and read the copy back: size and SHA-256 must agree before it is believed.

    Raises:
        ObjectMissingError: There is no such object.
        ObjectChangedError: It is not the version ``etag`` names.
        StoreUnavailableError: The copy differs from what was read.
    """
    with source.open(key, etag) as body, destination.writer(to_key) as out:
        digest = hashlib.sha256()
        while piece := body.read(_PIECE_BYTES):
            digest.update(piece)
            out.file.write(piece)
        out.commit()
    with destination.open(to_key) as copy:
        if _sha256(copy) != digest.digest():
            raise StoreUnavailableError(to_key, "the copy differs from the original")


def _copy(
    source: ObjectStore, key: str, etag: str, *, destination: ObjectStore, to_key: str, load: Load
) -> _Copied | None:
    """Copy unless an earlier try got as far as deleting the source; None then."""
    try:
        copy_verified(source, key, etag, destination, to_key)
    except (ObjectMissingError, ObjectChangedError) as error:
        if (filed := destination.head(to_key)) and filed.size_bytes == load.version.size_bytes:
            return None
        raise superseded(load) from error
    return _Copied(key, etag)


def _delete(source: ObjectStore, done: _Copied) -> None:
    """Delete the version that was copied; another version that came meanwhile is a load of its own and stays."""
    try:
        source.delete(done.key, done.etag)
    except ObjectChangedError:
        return


def _sha256(body: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := body.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.digest()


def choose_filing(
    source: ObjectStore,
    destination: ObjectStore,
    load: Load,
    *,
    taken: dict[str, int],
    plain: Filing,
    versioned: Filing,
) -> Filing:
    """Choose the plain folder, or the load's own below it if another version lies there; nothing is ever overwritten.

    Args:
        source: Where the load's file is.
        destination: Where it goes.
        load: The load to file.
        taken: Ids of the loads on record under the keys in question; the choice is added.
        plain: Where the first version of a file goes.
        versioned: Where a later one goes.
    """
    key = plain.key(load.version.key)
    if key not in taken:
        owner = load.id if _is_free(source, load, destination, key) else _UNKNOWN
        taken.setdefault(key, owner)  # two versions of one file may be here at the same time; one of them wins
    return plain if taken[key] == load.id else versioned


def _is_free(source: ObjectStore, load: Load, destination: ObjectStore, key: str) -> bool:
    """Say whether the destination's key is free or holds this load's bytes from an earlier, unfinished try."""
    lying = destination.head(key)
    if lying is None:
        return True
    if lying.size_bytes != load.version.size_bytes:
        return False
    try:
        with source.open(load.version.key, load.version.etag) as body, destination.open(key) as copy:
            return _sha256(body) == _sha256(copy)
    except (ObjectMissingError, ObjectChangedError):
        return True
