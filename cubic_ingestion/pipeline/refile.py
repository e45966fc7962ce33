"""Refile: after a replay, move originals and rows that a late snapshot (or the raw switch) gave another place."""

from contextlib import suppress
from dataclasses import replace

from cubic_ingestion.domain.layout import Filing, archive_filing, springboard_key
from cubic_ingestion.domain.load import Load, version_order
from cubic_ingestion.domain.table import Table
from cubic_ingestion.pipeline.claim import Claim
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.move import copy_verified
from cubic_ingestion.pipeline.quarantine import empty_quarantine
from cubic_ingestion.pipeline.read import Original
from cubic_ingestion.ports import ObjectMissingError
from cubic_ingestion.streams import STREAMS


def refile(platform: Platform, table: Table, held: Claim, load: Load) -> None:
    """Bring Archive and Springboard in line with where a replayed load belongs now; does nothing for any other load.

    Runs before the replay is recorded as done, so a crash at any point repeats it.
    """
    if load.archive_key is None:
        return
    held.keep()
    archive_key = _refile_original(platform, table, load, load.archive_key)
    if load.location and load.location != springboard_key(table, load):
        _retire_rows(platform, table, load, load.location)
        if load.n_quarantined:
            empty_quarantine(platform.stores.springboard, table, load.location)
    platform.ledger.outcomes.complete_archive(held.claimant, {load.id: archive_key})


def locate_original(platform: Platform, table: Table, load: Load) -> Load:
    """Return the load with the key its original really has in Archive, should a refiling have been cut short."""
    archive = platform.stores.archive
    if load.archive_key is None or archive.head(load.archive_key) is not None:
        return load
    for is_taken in (False, True):
        key = archive_filing(table, load, is_taken=is_taken).key(load.version.key)
        if platform.ledger.queries.taken_keys([key]).get(key, load.id) == load.id and archive.head(key):
            return replace(load, archive_key=key)
    return load


def _refile_original(platform: Platform, table: Table, load: Load, archive_key: str) -> str:
    """Move the original within Archive to where it belongs; returns its key there."""
    archive = platform.stores.archive
    plain = archive_filing(table, load, is_taken=False)
    versioned = archive_filing(table, load, is_taken=True)
    name = load.version.key
    if archive_key in (plain.key(name), versioned.key(name)):
        return archive_key
    filing = _free_filing(platform, load, plain, versioned)
    sidecar_key = STREAMS[table.stream].sidecar_key(archive_key)
    old_keys = [*([sidecar_key] if sidecar_key else []), archive_key]
    for key in old_keys:
        _copy_within(platform, key, filing.key(key))
    for key in old_keys:
        if standing := archive.head(key):
            archive.delete(key, standing.etag)
    return filing.key(name)


def _free_filing(platform: Platform, load: Load, plain: Filing, versioned: Filing) -> Filing:
    key = plain.key(load.version.key)
    owner = platform.ledger.queries.taken_keys([key]).get(key, load.id)
    return plain if owner == load.id else versioned


def _copy_within(platform: Platform, key: str, to_key: str) -> None:
    """Copy an archived object; one that is gone was moved by an earlier, unfinished try, or never had a sidecar."""
    archive = platform.stores.archive
    standing = archive.head(key)
    if standing:
        with suppress(ObjectMissingError):
            copy_verified(Original(archive, key, standing.etag, standing.size_bytes), archive, to_key)


def _retire_rows(platform: Platform, table: Table, load: Load, location: str) -> None:
    """Remove rows from where they no longer belong, or have the version that they covered there written again."""
    others = [
        other
        for other in platform.ledger.queries.versions(load.version.key)
        if other.id != load.id and other.archive_key and springboard_key(table, other) == location
    ]
    if others:
        platform.ledger.outcomes.mark_replay([max(others, key=version_order).id])
    elif standing := platform.stores.springboard.head(location):
        platform.stores.springboard.delete(location, standing.etag)
