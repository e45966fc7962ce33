"""The listings of Incoming: one row per prefix, replaced as a whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from cubic_ingestion.domain.incoming import Scan, Seen, UnknownGroup
from cubic_ingestion.metadata_db.models import CubicScan


def scans(connection: Connection) -> Mapping[str, Scan]:
    """Select all rows; there are as many as streams."""
    return {row.prefix: _scan(row) for row in connection.execute(select(CubicScan.__table__))}


def record(connection: Connection, scan: Scan) -> None:
    """Insert or replace the row of a prefix."""
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
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(CubicScan).values(prefix=scan.prefix, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[CubicScan.prefix], set_=values))


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
