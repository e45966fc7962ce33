"""Move: all files of a load from one zone to another, verified before anything is deleted."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from cubic_ingestion.domain.layout import Filing
from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RejectedLoadError, RetriableError, StoreUnavailableError
from cubic_ingestion.pipeline.read import Original, original_of, sidecar_of, superseded
from cubic_ingestion.pipeline.tries import was_given_up
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore, Stores
from cubic_ingestion.streams import STREAMS

_PIECE_BYTES = 1 << 20

_UNKNOWN = -1
"""Stands for the owner of an object that no load on record accounts for."""


@dataclass(frozen=True, slots=True)
class _Copied:
    source: Original
    key: str
    etag: str
    """Of the copy."""


def move_load(
    stores: Stores, destination: ObjectStore, table: Table, load: Load, filing: Filing, *, must_be_whole: bool
) -> str:
    """Copy a load's file and sidecar from where they lie, verify both, then delete the copied versions.

    The sidecar is that version which the load was planned with; another one stays for its own file. It is copied
    first: a file at the destination says that the load is there whole. A file that lies at its destination stays.

    A move that was cut short at any point is finished by calling this again. A sidecar that cannot be read, so that its
    load was given up, stays where it lies: a retry finds it there once it can be read.

    Args:
        stores: The zones.
        destination: One of them.
        table: The load's table.
        load: The load.
        filing: Where in the destination.
        must_be_whole: Do not move it without the sidecar that it was read with.

    Returns:
        The key of the load's file in the destination.

    Raises:
        RejectedLoadError: The registered version, or the sidecar it was read with, is neither at the source nor at the
            destination (``superseded``, ``sidecar_changed``).
    """
    key = filing.key(load.version.key)
    copied: list[_Copied] = []
    try:
        copied += _copy_sidecar(stores, destination, table, load, filing, must_be_whole=must_be_whole)
        copied += _copy_file(original_of(stores, load), destination, key, load)
    except RejectedLoadError:
        for done in copied:
            destination.delete(done.key, done.etag)
        raise
    for done in reversed(copied):
        _delete(done.source)
    return key


def copy_verified(source: Original, destination: ObjectStore, to_key: str) -> str:
    """Copy one object and read the copy back: size and SHA-256 must agree before it is believed.

    Returns:
        The copy's ETag.

    Raises:
        ObjectMissingError: There is no such object.
        ObjectChangedError: It is not the version ``etag`` names.
        StoreUnavailableError: Not all of it could be read, or the copy differs from what was read.
    """
    with source.open() as body, destination.writer(to_key) as out:
        digest = hashlib.sha256()
        while piece := body.read(_PIECE_BYTES):
            digest.update(piece)
            out.file.write(piece)
        etag = out.commit().etag
    with destination.open(to_key) as copy:
        if _sha256(copy) != digest.digest():
            raise StoreUnavailableError(to_key, "the copy differs from the original")
    return etag


def _copy_sidecar(
    stores: Stores, destination: ObjectStore, table: Table, load: Load, filing: Filing, *, must_be_whole: bool
) -> Sequence[_Copied]:
    try:
        if sidecar := _own_sidecar(stores, table, load):
            return _copy(sidecar, destination, filing.key(sidecar.key))
    except RetriableError:
        if not was_given_up(load):
            raise
    else:
        if must_be_whole:
            _check_sidecar_is_filed(stores, destination, table, load, filing)
    return ()


def _own_sidecar(stores: Stores, table: Table, load: Load) -> Original | None:
    """Find the sidecar that goes with a load; one that was rejected before it was planned takes what is there."""
    sidecar = sidecar_of(stores, table, load)
    return sidecar if sidecar and load.sidecar_etag in (None, sidecar.etag) else None


def _check_sidecar_is_filed(stores: Stores, destination: ObjectStore, table: Table, load: Load, filing: Filing) -> None:
    """Make sure that an earlier try filed the sidecar that a load was read with, now that it is gone.

    Raises:
        RejectedLoadError: It did not.
    """
    sidecar_key = STREAMS[table.stream].sidecar_key(load.version.key)
    if load.sidecar_etag is None or not sidecar_key or destination.head(filing.key(sidecar_key)):
        return
    original = original_of(stores, load)
    standing = original.store.head(original.key)
    if standing is None or original.etag not in (None, standing.etag):
        raise superseded(load)
    message = (
        f"'{sidecar_key}' was replaced or removed after '{load.version.key}' was read with it (ETag "
        f"{load.sidecar_etag}) and before both were archived. 'cubic loads retry {load.id}' reads the file with the "
        "sidecar that stands in Incoming, if it is for this file."
    )
    raise RejectedLoadError("sidecar_changed", message)


def _copy_file(original: Original, destination: ObjectStore, to_key: str, load: Load) -> Sequence[_Copied]:
    """Copy a load's file unless an earlier try got as far as deleting the source."""
    try:
        return _copy(original, destination, to_key)
    except (ObjectMissingError, ObjectChangedError) as error:
        if (filed := destination.head(to_key)) and filed.size_bytes == load.version.size_bytes:
            return ()
        raise superseded(load) from error


def _copy(source: Original, destination: ObjectStore, to_key: str) -> Sequence[_Copied]:
    """Copy one file, unless it lies there already for good."""
    if source.store is destination and source.key == to_key:
        return ()
    if source.etag is None:
        source = replace(source, etag=_etag(source))
    return (_Copied(source, to_key, copy_verified(source, destination, to_key)),)


def _etag(source: Original) -> str:
    if (standing := source.store.head(source.key)) is None:
        raise ObjectMissingError(source.key)
    return standing.etag


def _delete(copied: Original) -> None:
    """Delete the version that was copied; another version that came meanwhile is a load of its own and stays."""
    if copied.etag is not None:
        with suppress(ObjectChangedError):
            copied.store.delete(copied.key, copied.etag)


def _sha256(body: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := body.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.digest()


def choose_filing(
    original: Original,
    destination: ObjectStore,
    table: Table,
    load: Load,
    *,
    taken: dict[str, int],
    plain: Filing,
    versioned: Filing,
) -> Filing:
    """Choose the plain folder, or the load's own below it if another version lies there; nothing is ever overwritten.

    What an earlier try began to file in the load's own folder is finished there, even if the plain one is free by now.
    It may have filed the sidecar alone, which is copied first.

    Args:
        original: Where the load's file is.
        destination: Where it goes.
        table: The load's table.
        load: The load to file.
        taken: Ids of the loads on record under the keys in question; the choice is added.
        plain: Where the first version of a file goes.
        versioned: Where a later one goes.
    """
    key = plain.key(load.version.key)
    files = [name for name in (load.version.key, STREAMS[table.stream].sidecar_key(load.version.key)) if name]
    if plain != versioned and any(destination.head(versioned.key(name)) for name in files):
        return versioned
    if key not in taken:
        owner = load.id if _is_free(original, load, destination, key) else _UNKNOWN
        taken.setdefault(key, owner)  # two versions of one file may be here at the same time; one of them wins
    return plain if taken[key] == load.id else versioned


def _is_free(original: Original, load: Load, destination: ObjectStore, key: str) -> bool:
    """Say whether the destination's key is free or holds this load's bytes from an earlier, unfinished try."""
    lying = destination.head(key)
    if lying is None:
        return True
    if lying.size_bytes != load.version.size_bytes:
        return False
    try:
        with original.open() as body, destination.open(key) as copy:
            return _sha256(body) == _sha256(copy)
    except (ObjectMissingError, ObjectChangedError):
        return True
