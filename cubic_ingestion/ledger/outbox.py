"""Outboxes: changes of tables on their way to a consumer, recorded in the transaction that makes them.

A change says only that something is different. What it is by now is looked up when the consumer is told, so the order
of changes means nothing, and to tell one twice does no harm. A consumer leases a table, tells its changes, and deletes
just those. A new consumer is one more ``Outbox`` here.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, false, func, insert, or_, select, update

from cubic_ingestion.ledger import leases
from cubic_ingestion.ledger.leases import Lease, is_due, is_over
from cubic_ingestion.ledger.models import Base, CubicCatalogChange, CubicDagsterChange, CubicTable
from cubic_ingestion.ledger.records import WHOLE_TABLE, OutboxBacklog, OutboxWork
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transitions import MAX_REASON_CHARACTERS


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
        self._changes = changes
        self._id, self._table_id, self._inserted_at = columns.id, columns.table_id, columns.inserted_at
        self._subject = columns[subject]
        self._is_seed: ColumnElement[bool] = columns.get("is_seed", false())
        self._attempts, self._error = of_table[f"{lease.right}_attempts"], of_table[f"{lease.right}_error"]

    def note(self, connection: Connection, changes: Iterable[tuple[int, str]], now: datetime) -> None:
        """Record changes, each with the id of its table, in the transaction that makes them."""
        rows = [
            {"table_id": table_id, self._subject.key: subject, "inserted_at": now}
            for table_id, subject in dict.fromkeys(changes)
        ]
        if rows:
            connection.execute(insert(self._changes), rows)

    def due(
        self,
        connection: Connection,
        tables: Collection[str],
        now: datetime,
        expires_at: datetime,
        recorded_before: datetime | None = None,
    ) -> list[str]:
        """Select the tables with changes that nobody has leased and whose pause is over."""
        conditions = (self._has_changes(recorded_before), self._is_free_at(now, expires_at))
        statement = select(CubicTable.name).where(CubicTable.name.in_(tables), *conditions)
        return list(connection.execute(statement.order_by(CubicTable.id)).scalars())

    def claim(
        self,
        connection: Connection,
        tables: Collection[str],
        *,
        claimant: str,
        now: datetime,
        expires_at: datetime,
        n_tables: int,
        n_changes: int,
        subjects: Collection[str] | None = None,
    ) -> list[OutboxWork]:
        """Lock the tables that are due, lease them, and read their oldest changes.

        Tables that this claimant holds already count as due: a claim whose commit was not answered is made again.
        """
        is_ours = self.lease.holder == claimant
        statement = (
            select(CubicTable.id, CubicTable.name, self._attempts.label("attempts"))
            .where(CubicTable.name.in_(tables), self._has_changes(), or_(self._is_free_at(now, expires_at), is_ours))
            .order_by(CubicTable.id)
            .limit(n_tables)
            .with_for_update(key_share=True)  # registering loads, which refers to the tables, goes on
        )
        rows = connection.execute(statement).all()
        hold = update(CubicTable).where(CubicTable.id.in_([row.id for row in rows]))
        connection.execute(hold.values(self.lease.taken(claimant, expires_at)))
        found: list[OutboxWork] = []
        for row in rows:
            changes = self._oldest(connection, row.id, n_changes, subjects)
            subject_by_id = {change_id: subject for change_id, subject, _ in changes}
            seeds = frozenset(change_id for change_id, _, is_seed in changes if is_seed)
            found.append(OutboxWork(row.name, subject_by_id, row.attempts, seeds))
        return found

    def complete(self, connection: Connection, claimant: str, work: OutboxWork, now: datetime) -> bool:
        """Delete just those changes that were claimed; what was recorded since waits for the next claim."""
        if not self._give_back(
            connection, claimant, work, {**self.lease.given_back(), self._attempts.key: 0, self._error.key: None}, now
        ):
            return False
        for page in in_pages(work.changes):
            connection.execute(delete(self._changes).where(self._id.in_(page)))
        return True

    def postpone(
        self, connection: Connection, claimant: str, work: OutboxWork, due_at: datetime, reason: str, now: datetime
    ) -> bool:
        """Give a table back with the reason; its changes stay."""
        values = {
            self.lease.holder.key: None,
            self.lease.ends_at.key: due_at,
            self._attempts.key: self._attempts + 1,
            self._error.key: reason[:MAX_REASON_CHARACTERS],
        }
        return self._give_back(connection, claimant, work, values, now)

    def is_held(self, connection: Connection, prefix: str, now: datetime) -> bool:
        """Say whether a claimant with this prefix holds a table under a lease that has not expired."""
        statement = select(CubicTable.id).where(self.lease.is_held_by(prefix), self.lease.ends_at > now).limit(1)
        return connection.execute(statement).first() is not None

    def backlog(self, connection: Connection) -> list[OutboxBacklog]:
        """Count the changes by table."""
        columns = (CubicTable.name, func.count(), func.min(self._inserted_at))
        statement = (
            select(*columns, self.lease.ends_at, self._error)
            .join(CubicTable, CubicTable.id == self._table_id)
            .group_by(CubicTable.id)
            .order_by(CubicTable.name)
        )
        return [OutboxBacklog(*row) for row in connection.execute(statement).tuples()]

    def _give_back(
        self, connection: Connection, claimant: str, work: OutboxWork, values: dict[Any, Any], now: datetime
    ) -> bool:
        """End the lease on a table; False if it was lost.

        Then the changes are recorded once more. Whoever has held the table since may have told newer state, which our
        late call has overwritten with what was so before.
        """
        is_ours = (CubicTable.name == work.table, self.lease.holder == claimant)
        if connection.execute(update(CubicTable).where(*is_ours).values(values)).rowcount:
            return True
        table_id = connection.execute(select(CubicTable.id).where(CubicTable.name == work.table)).scalar_one()
        self.note(connection, ((table_id, subject) for subject in work.changes.values()), now)
        return False

    def _oldest(
        self, connection: Connection, table_id: int, limit: int, subjects: Collection[str] | None
    ) -> Sequence[tuple[int, str, bool]]:
        statement = (
            select(self._id, self._subject, self._is_seed)
            .where(self._table_id == table_id)
            .order_by(self._id)
            .limit(limit)
        )
        if subjects is None:
            return connection.execute(statement).tuples().all()
        pages = (statement.where(self._subject.in_(page)) for page in in_pages(subjects))
        return [row for page in pages for row in connection.execute(page).tuples()]

    def _is_free_at(self, now: datetime, expires_at: datetime) -> ColumnElement[bool]:
        """Return the condition that a table's lease is over, or without a lease its pause."""
        is_leased, ends_at = self.lease.holder.is_not(None), self.lease.ends_at
        return or_(is_leased & is_over(ends_at, now, expires_at), ~is_leased & is_due(ends_at, now))

    def _has_changes(self, recorded_before: datetime | None = None) -> ColumnElement[bool]:
        of_table = exists().where(self._table_id == CubicTable.id)
        if recorded_before is None:
            return of_table
        # What concerns a table as a whole was made by no run, which would report it itself.
        return of_table.where(or_(self._inserted_at <= recorded_before, self._subject == WHOLE_TABLE))


CATALOG = Outbox(CubicCatalogChange, "location", leases.CATALOG)
"""Places in Springboard whose rows came, were replaced or went."""

DAGSTER = Outbox(CubicDagsterChange, "partition_key", leases.DAGSTER)
"""Partitions whose rows or rejected loads changed; an empty text stands for the table as a whole."""

OUTBOXES = (CATALOG, DAGSTER)
