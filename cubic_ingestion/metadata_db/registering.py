"""Record object versions that are not on record yet: set difference, in bulk."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cubic_ingestion.domain.load import Arrival, ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import UnrecordedTableError
from cubic_ingestion.metadata_db.models import CubicLoad, CubicTable
from cubic_ingestion.metadata_db.rows import in_pages

LEGACY_ETAG = "legacy:"
"""Starts the ETag of a load that the old layout recorded: it kept none."""


def unrecorded(connection: Connection, arrivals: Collection[Arrival]) -> list[Arrival]:
    """Return the arrivals whose object version is no load yet: (key, ETag, LastModified) is its identity.

    The time belongs to it because a bucket without versions gives the same ETag when the same bytes are delivered
    again, and that is a new delivery.
    """
    known: set[tuple[str, str, datetime]] = set()
    for page in in_pages({arrival.version.key for arrival in arrivals}):
        statement = select(CubicLoad.s3_key, CubicLoad.s3_etag, CubicLoad.s3_modified)
        rows = connection.execute(statement.where(CubicLoad.s3_key.in_(page)))
        known.update((row.s3_key, row.s3_etag, row.s3_modified) for row in rows)
    return [arrival for arrival in arrivals if _identity(arrival.version) not in known]


def record(connection: Connection, arrivals: Sequence[Arrival], now: datetime) -> int:
    """Record arrivals, also if another process is recording the same; returns how many are new.

    Raises:
        UnrecordedTableError: A table is not in ``cubic_tables``.
    """
    table_ids = _table_ids(connection, {arrival.table for arrival in arrivals})
    _adopt(connection, arrivals, now)
    rows = [
        {
            "table_id": table_ids[arrival.table],
            "status": LoadStatus.READY.value,
            "s3_key": arrival.version.key,
            "s3_etag": arrival.version.etag,
            "s3_modified": arrival.version.modified_at,
            "s3_size": arrival.version.size_bytes,
            "is_raw": arrival.is_raw,
            "attempts": 0,
            "is_replay_due": False,
            "inserted_at": now,
            "updated_at": now,
        }
        # In order of key, so that two processes recording the same page never wait for each other in a circle.
        for arrival in sorted(arrivals, key=lambda arrival: arrival.version.key)
    ]
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(CubicLoad).on_conflict_do_nothing().returning(CubicLoad.id)
    return len(connection.execute(statement, rows).all())


def _table_ids(connection: Connection, names: Collection[str]) -> Mapping[str, int]:
    rows = connection.execute(select(CubicTable.name, CubicTable.id).where(CubicTable.name.in_(names)))
    ids = {row.name: row.id for row in rows}
    for name in names:
        if name not in ids:
            raise UnrecordedTableError(name)
    return ids


def _adopt(connection: Connection, arrivals: Collection[Arrival], now: datetime) -> None:
    """Give loads of the old layout the version that they must be: same key, size, and LastModified to the second."""
    legacy = _legacy_loads(connection, {arrival.version.key for arrival in arrivals})
    for arrival in arrivals:
        version = arrival.version
        load_id = legacy.pop((version.key, version.size_bytes, version.modified_at.replace(microsecond=0)), None)
        if load_id is None:
            continue
        # Compare-and-set: another process may have adopted it since. Inserting then meets a conflict, as it should.
        statement = update(CubicLoad).where(CubicLoad.id == load_id, CubicLoad.s3_etag == f"{LEGACY_ETAG}{load_id}")
        values = {"s3_etag": version.etag, "s3_modified": version.modified_at, "is_raw": arrival.is_raw}
        connection.execute(statement.values(**values, updated_at=now))


def _legacy_loads(connection: Connection, keys: Collection[str]) -> dict[tuple[str, int, datetime], int]:
    columns = (CubicLoad.id, CubicLoad.s3_key, CubicLoad.s3_size, CubicLoad.s3_modified)
    found: dict[tuple[str, int, datetime], int] = {}
    for page in in_pages(keys):
        statement = select(*columns).where(CubicLoad.s3_key.in_(page), CubicLoad.s3_etag.startswith(LEGACY_ETAG))
        for row in connection.execute(statement.order_by(CubicLoad.id.desc())):
            found[row.s3_key, row.s3_size, row.s3_modified.replace(microsecond=0)] = row.id
    return found


def _identity(version: ObjectVersion) -> tuple[Any, ...]:
    return version.key, version.etag, version.modified_at
