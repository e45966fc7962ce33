"""Outboxes: changes of tables on their way to a consumer, recorded in the transaction that makes them.

A change says only that something is different. The consumer looks up what is true when it processes the change, so the
order of changes means nothing, and to process one twice does no harm. A new consumer is one more ``Outbox`` here, and
one more ``Consumer`` beside it (``ledger/consumers.py``).
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, false, insert, select

from cubic_ingestion.ledger import leases
from cubic_ingestion.ledger.leases import Lease
from cubic_ingestion.ledger.models import Base, CubicCatalogChange, CubicDagsterChange, CubicTable


class Outbox:
    """The changes for one consumer.

    Args:
        changes: Its table of changes.
        subject: The column of that table that says what changed.
        lease: The consumer's leases on tables. While nobody holds one, its end is the end of a pause.
    """

    def __init__(self, changes: type[Base], subject: str, lease: Lease) -> None:
        columns, of_table = changes.__table__.c, CubicTable.__table__.c
        self.lease = lease
        self.changes = changes
        self.id, self.table_id, self.inserted_at = columns.id, columns.table_id, columns.inserted_at
        self.subject = columns[subject]
        self.is_seed: ColumnElement[bool] = columns.get("is_seed", false())
        self.attempts, self.error = of_table[f"{lease.right}_attempts"], of_table[f"{lease.right}_error"]

    def note(self, connection: Connection, changes: Iterable[tuple[int, str]], now: datetime) -> None:
        """Record changes, each with the id of its table, in the transaction that makes them."""
        rows = [
            {"table_id": table_id, self.subject.key: subject, "inserted_at": now}
            for table_id, subject in dict.fromkeys(changes)
        ]
        if rows:
            connection.execute(insert(self.changes), rows)

    def is_held(self, connection: Connection, prefix: str, now: datetime) -> bool:
        """Say whether a claimant with this prefix holds a table under a lease that has not expired."""
        statement = select(CubicTable.id).where(self.lease.is_held_by(prefix), self.lease.ends_at > now).limit(1)
        return connection.execute(statement).first() is not None


CATALOG = Outbox(CubicCatalogChange, "location", leases.CATALOG)
"""Places in Springboard whose rows came, were replaced or went."""

DAGSTER = Outbox(CubicDagsterChange, "partition_key", leases.DAGSTER)
"""Partitions whose rows or rejected loads changed; an empty text stands for the table as a whole."""

OUTBOXES = (CATALOG, DAGSTER)
