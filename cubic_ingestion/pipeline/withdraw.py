"""Withdraw: take back the rows that a try at a load published, and did not put on record.

What is published stands in Springboard a moment before the ledger says so. The next try replaces it, unless
that ends in Error, or the load belongs to another snapshot by then; so it begins by taking back what it finds. So does
giving up: a request whose answer was lost may have published all the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from cubic_ingestion.domain.layout import quarantine_key, springboard_key
from cubic_ingestion.domain.load import Load, ObjectVersion
from cubic_ingestion.domain.table import Table
from cubic_ingestion.errors import RetriableError
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.pipeline.write import LOAD_ID
from cubic_ingestion.ports import ObjectChangedError, ObjectMissingError, ObjectStore

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def withdraw(platform: Platform, table: Table, load: Load, may_remove: Callable[[Load], bool]) -> None:
    """Remove a load's rows and quarantine from wherever they stand without being on record.

    Where they cover the rows of the version before, that one is read again.

    Args:
        platform: The platform.
        table: The load's table.
        load: The load.
        may_remove: Asked before each removal: False if somebody else works on the load by now.
    """
    for place in _places(platform, table, load):
        if place == load.location:
            continue
        owner = platform.ledger.queries.newest_at([place]).get(place)
        for version in _published(platform.stores.springboard, table, load, place):
            if not may_remove(load):
                return
            if owner is None:
                platform.stores.springboard.delete(version.key, version.etag)
            else:
                platform.ledger.outcomes.mark_replay([owner.id])


def withdraw_if_possible(platform: Platform, table: Table, load: Load, may_remove: Callable[[Load], bool]) -> None:
    """Do so for a load that is given up, whether or not that succeeds: what is left, ``cubic audit`` names."""
    try:
        with last_resort():
            withdraw(platform, table, load, may_remove)
    except RetriableError as error:
        _log.warning("rows not looked for", reason=str(error))


def _places(platform: Platform, table: Table, load: Load) -> Iterator[str]:
    """Yield the keys that the load may ever have had: one a snapshot."""
    snapshots = platform.ledger.plans.snapshots(table.snapshot_table) if load.snapshot else ()
    for started_at in [snapshot.started_at for snapshot in snapshots] or [None]:
        yield springboard_key(table, replace(load, snapshot=started_at))


def _published(springboard: ObjectStore, table: Table, load: Load, place: str) -> Iterator[ObjectVersion]:
    """Yield what the load published at a place: its records in quarantine, its rows."""
    for key in (quarantine_key(table, place), place):
        version = springboard.head(key)
        if version and _load_id(springboard, version) == str(load.id).encode():
            yield version


def _load_id(springboard: ObjectStore, version: ObjectVersion) -> bytes | None:
    try:
        with springboard.open(version.key, version.etag) as file:
            metadata: dict[bytes, bytes] | None = pq.read_metadata(file).metadata
    except (ObjectMissingError, ObjectChangedError, pa.ArrowException, OSError):
        return None
    return (metadata or {}).get(LOAD_ID)
