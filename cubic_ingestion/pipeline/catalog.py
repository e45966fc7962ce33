"""Catalog: make tables' Parquet queryable by name, a little after it was written, so that no load waits for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pyarrow as pa
import structlog

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.holding import MAX_PAUSE
from cubic_ingestion.domain.layout import (
    PART_NAME,
    partition_folder,
    partition_names,
    partition_values,
    springboard_prefix,
)
from cubic_ingestion.domain.table import Column, Table
from cubic_ingestion.errors import (
    CatalogUnavailableError,
    CubicIngestionError,
    FatalError,
    SettingsError,
    UnforeseenError,
)
from cubic_ingestion.ledger.records import TableDeliveries
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.common_schema import common_schema, have_conflict
from cubic_ingestion.pipeline.claim import claimant_of
from cubic_ingestion.pipeline.heartbeat import Heartbeat
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.release import release_dead
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import CatalogEntry, CatalogPart, CatalogPartition, Keep

CHUNK_TABLES, CHUNK_CHANGES = 20, 2_000
"""Tables, and changes of each, that one lease covers; it is renewed meanwhile."""

_FIRST_PAUSE = timedelta(seconds=30)
_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_LOAD_ID = pa.field("load_id", pa.int64())


@dataclass(slots=True)
class CatalogReport:
    """What the catalog took and what it refused."""

    n_changes: int = 0
    """Changes that it knows now."""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Why a table was refused, by its name; it is tried again later."""
    fatal: FatalError | None = None
    """Why it will be refused until a person acts, if so."""


def catalog(platform: Platform, tables: Collection[str], *, run_id: str) -> CatalogReport:
    """Bring the catalog up to date with all changes of some tables that nobody else holds.

    A catalog that is down loses nothing: the changes stay on record, and are tried again after a pause that doubles
    with each refusal, up to an hour.
    """
    report = CatalogReport()
    whole: CubicIngestionError | None = None
    claimant = claimant_of(run_id)
    release_dead(platform.ledger, platform.clock.now())
    while claimed := _claim(platform, tables, claimant):
        failures: Mapping[str, CubicIngestionError] = {}
        try:
            if whole is None:
                failures = _register(platform, claimed, _renewing(platform, claimant))
        except (CatalogUnavailableError, SettingsError) as error:
            whole = error
        for work in claimed:
            _conclude(platform, claimant, work, whole or failures.get(work.table), report)
    return report


def _claim(platform: Platform, tables: Collection[str], claimant: str) -> Sequence[TableDeliveries]:
    now, expires_at = platform.claim_term()
    return platform.ledger.deliveries[Consumer.CATALOG].claim(
        tables,
        claimant=claimant,
        now=now,
        expires_at=expires_at,
        n_tables=CHUNK_TABLES,
        n_changes=CHUNK_CHANGES,
    )


def _renewing(platform: Platform, claimant: str) -> Keep:
    """Return what renews the leases that a claimant has just taken, if it is time; cheap to call often."""
    heartbeat = Heartbeat(platform.clock, platform.limits.claim_timeout_seconds)
    return partial(heartbeat.beat, partial(platform.ledger.deliveries[Consumer.CATALOG].renew, claimant))


def _register(platform: Platform, claimed: Sequence[TableDeliveries], keep: Keep) -> Mapping[str, CubicIngestionError]:
    """Tell the catalog of some tables; returns why it failed, by the name of each table that did.

    If nobody foresaw what one table does to the catalog, the others are told one by one.
    """
    failures: dict[str, CubicIngestionError] = {}
    entries: list[CatalogEntry] = []
    for work in claimed:
        keep()
        try:
            with last_resort():
                entries.append(_entry(platform, work))
        except UnforeseenError as error:
            failures[work.table] = error
    try:
        with last_resort():
            return failures | dict(platform.catalog.register(entries, keep))
    except UnforeseenError:
        return failures | _register_one_by_one(platform, entries, keep)


def _register_one_by_one(
    platform: Platform, entries: Sequence[CatalogEntry], keep: Keep
) -> dict[str, CubicIngestionError]:
    failures: dict[str, CubicIngestionError] = {}
    for entry in entries:
        try:
            with last_resort():
                failures |= platform.catalog.register([entry], keep)
        except UnforeseenError as error:
            failures[entry.table.name] = error
    return failures


def _conclude(
    platform: Platform, claimant: str, work: TableDeliveries, failure: CubicIngestionError | None, report: CatalogReport
) -> None:
    """Forget the changes of a table that the catalog took, or give it a pause."""
    if failure is None:
        if platform.ledger.deliveries[Consumer.CATALOG].complete(claimant, work):
            report.n_changes += len(work.deliveries)
        return
    report.refused[work.table] = str(failure)
    _log.warning("catalog refused", table=work.table, reason=str(failure))
    if isinstance(failure, FatalError):
        report.fatal = failure
    pause = min(_FIRST_PAUSE * 2 ** min(work.attempts, 10), MAX_PAUSE)
    platform.ledger.deliveries[Consumer.CATALOG].postpone(claimant, work, platform.clock.now() + pause, str(failure))


def _entry(platform: Platform, work: TableDeliveries) -> CatalogEntry:
    """Describe a table, and those of its partitions that changed, by what stands in Springboard now."""
    table, springboard = platform.tables[work.table], platform.stores.springboard
    partitions, gone = _changed_partitions(platform, table, work.locations)
    parts: list[CatalogPart] = []
    if have_conflict(map(arrow_schema, platform.ledger.schemas.known(table.name))):
        parts = _parts(platform, table.name)
    return CatalogEntry(
        table,
        springboard.uri(springboard_prefix(table)),
        common_schema(each.schema for each in parts or partitions),
        parts,
        partition_names=partition_names(table),
        partitions=partitions,
        gone=gone,
    )


def _changed_partitions(
    platform: Platform, table: Table, locations: Collection[str]
) -> tuple[list[CatalogPartition], list[tuple[str, ...]]]:
    """Tell partitions that have rows from those that have none any more.

    A place that lies elsewhere (the table's prefix was another) counts as gone only if nothing took its values.
    """
    values = {place: found for place in locations if (found := partition_values(table, place)) is not None}
    keys = {found: partition_folder(table, found) + PART_NAME for found in values.values()}
    standing = platform.ledger.schemas.columns_at({*values, *keys.values()})
    uri = platform.stores.springboard.uri
    partitions = [
        CatalogPartition(found, uri(partition_folder(table, found)), _schema(standing[key]))
        for found, key in keys.items()
        if key in standing
    ]
    kept = {found for place, found in values.items() if place in standing or keys[found] in standing}
    return partitions, [found for found in keys if found not in kept]


def _parts(platform: Platform, name: str) -> list[CatalogPart]:
    uri = platform.stores.springboard.uri
    by_schema = platform.ledger.schemas.locations(name)
    return [CatalogPart(_schema(columns), [uri(key) for key in keys]) for columns, keys in by_schema.items()]


def _schema(columns: Sequence[Column]) -> pa.Schema:
    return arrow_schema(columns).append(_LOAD_ID)
