"""Outcomes: how work on a load ends, and how a person takes up again what has ended.

Only its holder can end work on a load: one who comes late changes nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, delete, func, select, update

from cubic_ingestion.domain.changes import WHOLE_TABLE, ChangeKind
from cubic_ingestion.domain.load import OBJECT_FROZEN, Ingested, LoadError
from cubic_ingestion.domain.status import TO_ERROR, LoadStatus
from cubic_ingestion.domain.steps import StepKind
from cubic_ingestion.ledger.changes import Change, record
from cubic_ingestion.ledger.models import CubicLoad, CubicLoadOdsSnapshot
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.schemas import schema_ids
from cubic_ingestion.ledger.steps import record_steps
from cubic_ingestion.ledger.transactions import Part, records
from cubic_ingestion.ledger.transitions import UNCLAIMED, explained, held_rows, moved

Values = dict[str, Any]


_UNPLANNED: Mapping[str, Any] = {
    **dict.fromkeys(("source_at", "partition_key", "sidecar_etag", "waits_for", "retry_at")),
    **dict.fromkeys(("location", "n_rows", "n_bytes", "n_quarantined", "schema_id")),
    **UNCLAIMED,
    **explained(None),
    "attempts": 0,
    "is_replay_due": False,
}
"""Column values of a load of which nothing is known but its version."""

_REPLACED = (
    select(CubicLoad.id, CubicLoad.table_id, CubicLoad.partition_key, CubicLoad.location)
    .where(
        CubicLoad.location.in_(bindparam("locations", expanding=True)),
        CubicLoad.id.not_in(bindparam("owners", expanding=True)),
    )
    .order_by(CubicLoad.id)
    .with_for_update()
)


class Outcomes(Part):
    """How work on loads ends.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @records
    def complete_ingest(
        self, connection: Connection, now: datetime, claimant: str, ingested: Sequence[Ingested]
    ) -> list[int]:
        """Move held loads on to ``ready_for_archiving`` (replays stay archived) with their counts.

        A load takes its location from the load that had it before, whose rows it replaced.

        Returns:
            Ids of the loads that were no longer held and stay untouched.
        """
        load_ids = [each.load_id for each in ingested]
        held = held_rows(connection, claimant, load_ids)
        ours = [each for each in ingested if each.load_id in held]
        schema_of = {each.load_id: (held[each.load_id].table_id, (each.columns, each.roles)) for each in ours}
        schemas = schema_ids(connection, set(schema_of.values()), now)
        changes = {
            each.load_id: _after_ingest(held[each.load_id], each) | {"schema_id": schemas.get(schema_of[each.load_id])}
            for each in ours
        }
        _take_locations(connection, ours, now)
        _write(connection, held, changes, now, {each.load_id: each.partition_key for each in ours})
        published = [each.load_id for each in ours if each.location is not None]
        record_steps(connection, published, StepKind.PUBLISHED, now, claimant)
        return _lost(held, load_ids)

    @records
    def complete_archive(
        self, connection: Connection, now: datetime, claimant: str, archive_keys: Mapping[int, str]
    ) -> list[int]:
        """Record where held loads are filed in Archive, and no longer in Error.

        A replay that moved its original stays held: it ends with ``complete_ingest``, so that a crash between the two
        leaves it due.
        """
        held = held_rows(connection, claimant, list(archive_keys))
        changes = {
            row.id: _after_archive(row) | {"archive_key": archive_keys[row.id], "error_key": None}
            for row in held.values()
        }
        _write(connection, held, changes, now)
        record_steps(connection, list(held), StepKind.ARCHIVED, now, claimant)
        return _lost(held, archive_keys)

    @records
    def complete_error(
        self, connection: Connection, now: datetime, claimant: str, error_keys: Mapping[int, str]
    ) -> list[int]:
        """Move held loads (id to key in Error) on to ``errored``; returns the ids no longer held.

        An empty key says that the original stays in Incoming.
        """
        held = held_rows(connection, claimant, list(error_keys))
        changes = {
            row.id: moved(row.id, row.status, LoadStatus.ERRORED) | {"error_key": error_keys[row.id] or None}
            for row in held.values()
        }
        _write(connection, held, changes, now)
        record_steps(connection, list(held), StepKind.ERRORED, now, claimant)
        return _lost(held, error_keys)

    @records
    def reject(
        self, connection: Connection, now: datetime, load_id: int, error: LoadError, *, claimant: str | None = None
    ) -> bool:
        """Move a load to ``ready_for_erroring``: a held one by its claimant, a ready one without.

        A replayed load stays archived and keeps its rows; only the reason is recorded. Returns False if it was lost.
        """
        held = _ready_row(connection, load_id) if claimant is None else held_rows(connection, claimant, [load_id])
        if load_id not in held:
            return False
        _write(connection, held, {load_id: _after_reject(held[load_id]) | explained(error)}, now)
        record_steps(connection, [load_id], StepKind.REJECTED, now, claimant)
        if held[load_id].status == LoadStatus.ARCHIVING:
            _hand_back_place(connection, held[load_id], now)
        return True

    @records
    def mark_replay(self, connection: Connection, now: datetime, load_ids: Collection[int]) -> None:
        """Mark loads for replay; those in Error or on the way there have no rows to write again."""
        for page in in_pages(load_ids):
            statement = update(CubicLoad).where(CubicLoad.id.in_(page), CubicLoad.status.not_in(TO_ERROR))
            connection.execute(statement.values(is_replay_due=True, updated_at=now))

    @records
    def retry(self, connection: Connection, now: datetime, load_ids: Collection[int]) -> list[int]:
        """Bring errored loads back to ``ready``, unplanned, in one transaction; their ``error_key`` stays.

        Returns:
            Ids of the loads brought back; the others were not errored, or have no ``error_key``.
        """
        has_original = CubicLoad.error_key.is_not(None) | (CubicLoad.error_code == OBJECT_FROZEN)
        brought_back: list[int] = []
        for page in in_pages(load_ids):
            statement = select(CubicLoad.id, CubicLoad.status, CubicLoad.table_id, CubicLoad.partition_key).where(
                CubicLoad.id.in_(page), CubicLoad.status == LoadStatus.ERRORED.value, has_original
            )
            rows = connection.execute(statement.order_by(CubicLoad.id).with_for_update()).all()
            for row in rows:
                moved(row.id, row.status, LoadStatus.READY)
            ids = [row.id for row in rows]
            values = {"status": LoadStatus.READY.value, "retried_at": now, "updated_at": now, **_UNPLANNED}
            connection.execute(update(CubicLoad).where(CubicLoad.id.in_(ids)).values(values))
            connection.execute(delete(CubicLoadOdsSnapshot).where(CubicLoadOdsSnapshot.load_id.in_(ids)))
            record(connection, [_marked(row) for row in rows], now)
            record_steps(connection, ids, StepKind.RETRIED, now)
            brought_back += ids
        return brought_back


def _after_ingest(row: Row[Any], ingested: Ingested) -> Values:
    is_replay = row.status == LoadStatus.ARCHIVED
    ended = _replayed() if is_replay else moved(row.id, row.status, LoadStatus.READY_FOR_ARCHIVING)
    # A snapshot that became known meanwhile may have moved the load; its rows then stand in the old place.
    is_misplaced = row.partition_key != ingested.partition_key
    return {
        **ended,
        **explained(None),
        "n_rows": ingested.n_rows,
        "n_bytes": ingested.n_bytes,
        "n_quarantined": ingested.n_quarantined,
        "location": ingested.location,
        "is_replay_due": row.is_replay_due and is_misplaced,
        "attempts": 0,
    }


def _after_archive(row: Row[Any]) -> Values:
    if row.status == LoadStatus.ARCHIVED:
        return {"status": row.status, "claimed_by": row.claimed_by, "claim_expires_at": row.claim_expires_at}
    return moved(row.id, row.status, LoadStatus.ARCHIVED)


def _after_reject(row: Row[Any]) -> Values:
    if row.status == LoadStatus.ARCHIVED:
        return {**_replayed(), "is_replay_due": False, "attempts": 0}
    no_rows = dict.fromkeys(("location", "n_rows", "n_bytes", "n_quarantined", "schema_id"))
    return moved(row.id, row.status, LoadStatus.READY_FOR_ERRORING) | no_rows


def _replayed() -> Values:
    return {"status": LoadStatus.ARCHIVED.value, **UNCLAIMED}


def _take_locations(connection: Connection, ingested: Sequence[Ingested], now: datetime) -> None:
    """Take the locations from the loads whose rows have just been replaced."""
    owners = {each.location: each.load_id for each in ingested if each.location is not None}
    for page in in_pages(owners):
        parameters = {"locations": page, "owners": [owners[location] for location in page]}
        rows = connection.execute(_REPLACED, parameters).all()
        if rows:
            lost = update(CubicLoad).where(CubicLoad.id.in_([row.id for row in rows]))
            connection.execute(lost.values(location=None))
            record(connection, [_withdrawn(row) for row in rows], now)


def _hand_back_place(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Have the version that a load took the place of written again, now that the load has no rows any more."""
    covered = (
        select(func.max(CubicLoad.id))
        .where(CubicLoad.s3_key == row.s3_key, CubicLoad.partition_key == row.partition_key, CubicLoad.id != row.id)
        .where(CubicLoad.status == LoadStatus.ARCHIVED.value, CubicLoad.archive_key.is_not(None))
        .scalar_subquery()
    )
    connection.execute(update(CubicLoad).where(CubicLoad.id == covered).values(is_replay_due=True, updated_at=now))


def _ready_row(connection: Connection, load_id: int) -> dict[int, Row[Any]]:
    statement = select(CubicLoad.__table__).where(
        CubicLoad.id == load_id, CubicLoad.status == LoadStatus.READY.value, CubicLoad.claimed_by.is_(None)
    )
    return {row.id: row for row in connection.execute(statement.with_for_update())}


def _write(
    connection: Connection,
    rows: Mapping[int, Row[Any]],
    changes: Mapping[int, Values],
    now: datetime,
    partition_keys: Mapping[int, str] | None = None,
) -> None:
    """Set column values by load id, each a compare-and-set on the status and holder that the decision was made on.

    All changes set the same columns. Where they change rows in Springboard, or why a load was rejected, the feed says
    so.

    Args:
        connection: Where to write.
        rows: The loads as they were, by id.
        changes: Column values by load id.
        now: The present moment.
        partition_keys: The partitions that rows were written to, where they were.
    """
    if not changes:
        return
    parameters = [
        {
            "load_id": load_id,
            "old_status": rows[load_id].status,
            "old_claimant": rows[load_id].claimed_by,
            "now": now,
            **{f"new_{name}": value for name, value in change.items()},
        }
        for load_id, change in changes.items()
    ]
    connection.execute(_setting(tuple(next(iter(changes.values())))), parameters)
    written = partition_keys or {}
    feed = [
        each
        for load_id, values in changes.items()
        for each in _changes(rows[load_id], values, written.get(load_id, rows[load_id].partition_key))
    ]
    record(connection, feed, now)


@cache
def _setting(names: tuple[str, ...]) -> Update:
    """Update some columns of a load that is as it was; the parameters say how it was, and give each ``new_`` value."""
    return (
        update(CubicLoad)
        .where(CubicLoad.id == bindparam("load_id"), CubicLoad.status == bindparam("old_status"))
        .where(CubicLoad.claimed_by.is_not_distinct_from(bindparam("old_claimant")))
        .values({name: bindparam(f"new_{name}") for name in names} | {"updated_at": bindparam("now")})
    )


def _changes(row: Row[Any], values: Values, partition_key: str | None) -> Iterator[Change]:
    """Yield what setting column values changes for those who look at Springboard, or at the load."""
    if "location" not in values and "error_code" not in values:
        return
    before, after = row.location, values.get("location", row.location)
    if before is not None and before != after:
        yield _withdrawn(row)
    elif partition_key != row.partition_key:
        yield _marked(row)
    if after is not None and "location" in values:
        kind = ChangeKind.REPLACED if before == after else ChangeKind.PUBLISHED
        yield Change(row.table_id, row.id, kind, partition_key or WHOLE_TABLE, after)
    elif before == after:
        yield Change(row.table_id, row.id, ChangeKind.MARKED, partition_key or WHOLE_TABLE)


def _withdrawn(row: Row[Any]) -> Change:
    return Change(row.table_id, row.id, ChangeKind.WITHDRAWN, row.partition_key or WHOLE_TABLE, row.location)


def _marked(row: Row[Any]) -> Change:
    return Change(row.table_id, row.id, ChangeKind.MARKED, row.partition_key or WHOLE_TABLE)


def _lost(held: Mapping[int, Row[Any]], load_ids: Collection[int]) -> list[int]:
    return [load_id for load_id in load_ids if load_id not in held]
