"""Changes: the append-only feed of what became different, recorded in the transaction that makes it so.

Each change has a delivery for every consumer that takes its kind. Deliveries, not a cursor: a transaction that is still
open may have recorded a change with a smaller id than one that was processed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from cubic_ingestion.domain.changes import ChangeKind, Consumer
from cubic_ingestion.ledger.models import CubicChange, CubicDelivery


@dataclass(frozen=True, slots=True)
class Change:
    """A change to record."""

    table_id: int
    load_id: int | None
    """None if it concerns loads of the table that need not be told apart."""
    kind: ChangeKind
    partition_key: str
    """``WHOLE_TABLE`` if there is none."""
    location: str | None = None
    """Springboard key; None for a change that is not in Springboard."""


def record(connection: Connection, changes: Collection[Change], now: datetime) -> None:
    """Record changes and their deliveries, in the transaction that makes them."""
    rows = [
        {
            "table_id": change.table_id,
            "load_id": change.load_id,
            "kind": change.kind.value,
            "partition_key": change.partition_key,
            "location": change.location,
            "inserted_at": now,
        }
        for change in dict.fromkeys(changes)
    ]
    if not rows:
        return
    recorded = insert(CubicChange).returning(CubicChange.id, CubicChange.table_id, CubicChange.kind)
    deliveries = [
        {"consumer": consumer.value, "table_id": table_id, "change_id": change_id}
        for change_id, table_id, kind in connection.execute(recorded, rows)
        for consumer in Consumer
        if ChangeKind(kind) in consumer.kinds
    ]
    connection.execute(insert(CubicDelivery), deliveries)
