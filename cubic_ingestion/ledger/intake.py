"""Intake: object versions that are recorded as loads, and the listings in which they were seen."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from cubic_ingestion.domain.incoming import Scan, Seen, UnknownGroup
from cubic_ingestion.domain.load import Arrival, ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import UnrecordedTableError
from cubic_ingestion.ledger.models import CubicLoad, CubicScan, CubicTable
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transactions import Part, reads, writes
from cubic_ingestion.ledger.upserts import upsert

LEGACY_ETAG = "legacy:"
"""Starts the ETag of a load that the old layout recorded: it kept none."""

_KNOWN = select(CubicLoad.s3_key, CubicLoad.s3_etag, CubicLoad.s3_modified).where(
    CubicLoad.s3_key.in_(bindparam("keys", expanding=True))
)


class Intake(Part):
    """What was seen in Incoming.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    def register(self, arrivals: Sequence[Arrival]) -> int:
        """Record the object versions that are not on record yet, in one transaction.

        Returns:
            The number of loads that are new.

        Raises:
            UnrecordedTableError: A table is not in ``cubic_tables``.
        """
        new = self.database.read(_unrecorded, arrivals)
        return self.database.write(_record, new, self.now()) if new else 0

    @reads
    def scans(self, connection: Connection) -> Mapping[str, Scan]:
        """Select all rows; there are as many as streams."""
        return {row.prefix: _scan(row) for row in connection.execute(select(CubicScan.__table__))}

    @writes
    def record_scan(self, connection: Connection, scan: Scan) -> None:
        """Record the listings of a prefix, in place of what was on record; idempotent, in one transaction."""
        values: dict[str, Any] = {
            "started_at": scan.started_at,
            "active_at": scan.active_at,
            "listed_at": scan.listed_at,
            "n_objects": scan.seen.n_objects,
            "n_unsettled": scan.seen.n_unsettled,
            "n_unknown": scan.seen.n_unknown,
            "unknown": json.dumps([asdict(group) for group in scan.seen.unknown]),
            # JSON escapes what is no UTF-8 in the key of a local file.
            "resume_after": json.dumps(scan.resume_after) if scan.resume_after else None,
            "so_far": json.dumps(asdict(scan.so_far)) if scan.resume_after else None,
            "problem": scan.problem,
        }
        statement = upsert(connection, CubicScan).values(prefix=scan.prefix, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=[CubicScan.prefix], set_=values))


def _unrecorded(connection: Connection, arrivals: Collection[Arrival]) -> list[Arrival]:
    """Return the arrivals whose object version is no load yet: (key, ETag, LastModified) is its identity.

    The time belongs to it because a bucket without versions gives the same ETag when the same bytes are delivered
    again, and that is a new delivery.
    """
    known: set[tuple[str, str, datetime]] = set()
    for page in in_pages({arrival.version.key for arrival in arrivals}):
        rows = connection.execute(_KNOWN, {"keys": page})
        known.update((row.s3_key, row.s3_etag, row.s3_modified) for row in rows)
    return [arrival for arrival in arrivals if _identity(arrival.version) not in known]


def _record(connection: Connection, arrivals: Sequence[Arrival], now: datetime) -> int:
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
    statement = upsert(connection, CubicLoad).on_conflict_do_nothing().returning(CubicLoad.id)
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


def _scan(row: Any) -> Scan:  # noqa: ANN401 - a row of any statement
    return Scan(
        row.prefix,
        row.started_at,
        row.active_at,
        row.listed_at,
        Seen(row.n_objects, row.n_unsettled, row.n_unknown, _groups(json.loads(row.unknown or "[]"))),
        json.loads(row.resume_after) if row.resume_after else "",
        _seen(json.loads(row.so_far)) if row.so_far else Seen(),
        row.problem,
    )


def _seen(values: Mapping[str, Any]) -> Seen:
    return Seen(values["n_objects"], values["n_unsettled"], values["n_unknown"], _groups(values["unknown"]))


def _groups(values: list[Mapping[str, Any]]) -> tuple[UnknownGroup, ...]:
    return tuple(
        UnknownGroup(group["folder"], group["why"], group["n_objects"], tuple(group["names"])) for group in values
    )
