"""Changes: the append-only feed of what became different, recorded in the transaction that makes it so.

Each change has a delivery for every consumer that takes its kind. Deliveries, not a cursor: a transaction that is still
open may have recorded a change with a smaller id than one that was processed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Insert, String, bindparam, func, insert, literal, or_, select

from cubic_ingestion.domain.changes import IN_SPRINGBOARD, ChangeKind, Consumer
from cubic_ingestion.ledger.change_models import CubicChange, CubicDelivery
from cubic_ingestion.ledger.models import CubicTable
from cubic_ingestion.ledger.rows import in_pages

_RECORD = insert(CubicChange).returning(CubicChange.id, CubicChange.kind)


def _deliver(consumer: Consumer) -> Insert:
    """Deliver changes to a consumer, those of the tables that it follows."""
    of_changes = select(literal(consumer.value, String), CubicChange.table_id, CubicChange.id).where(
        CubicChange.id.in_(bindparam("page", expanding=True))
    )
    if consumer.prefixes:
        follows = (CubicTable.s3_prefix.like(pattern, escape="\\") for pattern in consumer.prefixes)
        of_changes = of_changes.join(CubicTable, CubicTable.id == CubicChange.table_id).where(or_(*follows))
    return insert(CubicDelivery).from_select(["consumer", "table_id", "change_id"], of_changes)


_DELIVER = {consumer: _deliver(consumer) for consumer in Consumer}


_LAST_IN_SPRINGBOARD = (
    select(func.max(CubicChange.id))
    .where(
        CubicChange.load_id.in_(bindparam("page", expanding=True)),
        CubicChange.kind.in_([kind.value for kind in IN_SPRINGBOARD]),
    )
    .group_by(CubicChange.load_id)
)
_WHERE_ROWS_ARE = select(CubicChange.load_id, CubicChange.location, CubicChange.partition_key).where(
    CubicChange.id.in_(_LAST_IN_SPRINGBOARD)
)


@dataclass(frozen=True, slots=True)
class Change:
    """A change to record."""

    table_id: int
    load_id: int | None
    """None if it concerns the table, and no single load."""
    kind: ChangeKind
    partition_key: str
    """``WHOLE_TABLE`` if there is none."""
    location: str | None = None
    """Springboard key; None for a change that is not in Springboard."""


def record(connection: Connection, changes: Collection[Change], now: datetime) -> None:
    """Record changes and their deliveries, in the transaction that makes them.

    Rows are withdrawn from the partition that they are in. If ``changes`` name another, which the load was planned into
    since, that one is marked.
    """
    rows = [
        {
            "table_id": change.table_id,
            "load_id": change.load_id,
            "kind": change.kind.value,
            "partition_key": change.partition_key,
            "location": change.location,
            "inserted_at": now,
        }
        for change in dict.fromkeys(_from_where_rows_are(connection, changes))
    ]
    if not rows:
        return
    recorded = connection.execute(_RECORD, rows).tuples().all()
    for consumer in Consumer:
        ids = [change_id for change_id, kind in recorded if kind in consumer.kinds]
        for page in in_pages(ids):
            connection.execute(_DELIVER[consumer], {"page": page})


def _from_where_rows_are(connection: Connection, changes: Collection[Change]) -> Iterator[Change]:
    withdrawn = [change.load_id for change in changes if change.kind is ChangeKind.WITHDRAWN]
    rows_are_in: dict[tuple[int | None, str | None], str] = {}
    for page in in_pages(withdrawn):
        for load_id, location, partition_key in connection.execute(_WHERE_ROWS_ARE, {"page": page}).tuples():
            rows_are_in[load_id, location] = partition_key
    for change in changes:
        left = change.partition_key
        if change.kind is ChangeKind.WITHDRAWN:
            left = rows_are_in.get((change.load_id, change.location), left)
        if left == change.partition_key:
            yield change
        else:
            yield replace(change, partition_key=left)
            yield replace(change, kind=ChangeKind.MARKED, location=None)
