"""Loads as rows: how they are selected with their table and snapshot, and turned into ``Load``."""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Row, Select, bindparam, select

from cubic_ingestion.domain.load import Load, LoadError, ObjectVersion
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import BadCell
from cubic_ingestion.ledger.models import CubicLoad, CubicLoadOdsSnapshot, CubicTable

PAGE_SIZE = 5_000
"""Values in one statement; SQLite stops at 32,766 and PostgreSQL at 65,535."""

IS_IN_PAGE = CubicLoad.id.in_(bindparam("page", expanding=True))
"""The condition that a load's id is in a page of ids; the parameter ``page`` says which."""

Value = TypeVar("Value")


@cache
def select_loads() -> Select[Any]:
    """Select all that ``to_load`` needs, with ``cubic_tables`` joined for conditions on it."""
    return (
        select(CubicLoad.__table__, CubicTable.name.label("table_name"), CubicLoadOdsSnapshot.snapshot)
        .join(CubicTable, CubicTable.id == CubicLoad.table_id)
        .outerjoin(CubicLoadOdsSnapshot, CubicLoadOdsSnapshot.load_id == CubicLoad.id)
    )


def to_load(row: Row[Any]) -> Load:
    """Build a load from a row of ``select_loads``."""
    return Load(
        id=row.id,
        table=row.table_name,
        status=LoadStatus(row.status),
        version=ObjectVersion(row.s3_key, row.s3_etag, row.s3_size, row.s3_modified),
        is_raw=row.is_raw,
        inserted_at=row.inserted_at,
        updated_at=row.updated_at,
        source_at=row.source_at,
        snapshot=row.snapshot,
        partition_key=row.partition_key,
        waits_for=row.waits_for,
        attempts=row.attempts,
        retry_at=row.retry_at,
        claimed_by=row.claimed_by,
        claim_expires_at=row.claim_expires_at,
        location=row.location,
        archive_key=row.archive_key,
        error_key=row.error_key,
        n_rows=row.n_rows,
        n_bytes=row.n_bytes,
        is_replay_due=row.is_replay_due,
        n_quarantined=row.n_quarantined,
        error=_error(row),
        retried_at=row.retried_at,
        sidecar_etag=row.sidecar_etag,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_reason=row.acknowledged_reason,
    )


def in_pages(values: Collection[Value]) -> Iterator[Sequence[Value]]:
    """Cut values into pages that fit one statement."""
    ordered = list(values)
    for start in range(0, len(ordered), PAGE_SIZE):
        yield ordered[start : start + PAGE_SIZE]


def _error(row: Row[Any]) -> LoadError | None:
    if row.error_code is None:
        return None
    cells = tuple(BadCell(*cell) for cell in json.loads(row.error_cells or "[]"))
    return LoadError(row.error_code, row.error_message or "", row.error_row, row.error_column, cells)
