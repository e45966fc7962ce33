"""Consumers of changes: the catalog and Dagster. Each leases a table, processes its changes, and deletes just those."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, literal, or_, select, update

from cubic_ingestion.ledger.columns import UtcDateTime
from cubic_ingestion.ledger.leases import is_due, is_over
from cubic_ingestion.ledger.models import CubicCatalogChange, CubicDagsterChange, CubicLoad, CubicTable
from cubic_ingestion.ledger.outbox import CATALOG, DAGSTER, Outbox
from cubic_ingestion.ledger.records import WHOLE_TABLE, OutboxBacklog, OutboxWork
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transactions import Part, reads, records, writes
from cubic_ingestion.ledger.transitions import INGESTED, MAX_REASON_CHARACTERS


class Consumer(Part):
    """Changes of tables on their way to a consumer; one claimant holds a table at a time.

    Whatever changes what a consumer shows records it in the same transaction, so none is ever lost. Every method raises
    ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    outbox: ClassVar[Outbox]

    @reads
    def due(
        self,
        connection: Connection,
        tables: Collection[str],
        *,
        now: datetime,
        expires_at: datetime,
        recorded_before: datetime | None = None,
    ) -> list[str]:
        """Return the tables with changes that ``claim`` with these moments would get.

        Args:
            connection: Where to ask.
            tables: Names of tables.
            now: The present moment.
            expires_at: When a claim that is taken now ends.
            recorded_before: Only tables with a change that was recorded before this moment, or that concerns the table
                as a whole; all if None.
        """
        conditions = (self._has_changes(recorded_before), self._is_free_at(now, expires_at))
        statement = select(CubicTable.name).where(CubicTable.name.in_(tables), *conditions)
        return list(connection.execute(statement.order_by(CubicTable.id)).scalars())

    @writes
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
        """Lease some tables, and return their oldest changes.

        Args:
            connection: Where to ask.
            tables: Names of tables.
            claimant: Who takes them; begins with a run's id.
            now: The present moment.
            expires_at: From then on somebody else may take the tables. A claim that ends a minute later, or more, was
                taken by a clock that is ahead, and is free to take.
            n_tables: Maximum number of tables.
            n_changes: Maximum number of changes of each.
            subjects: Only changes of these locations or partitions; all if None.
        """
        # A table that this claimant holds already counts as due: a claim whose commit was not answered is made again.
        is_ours = self.outbox.lease.holder == claimant
        statement = (
            select(CubicTable.id, CubicTable.name, self.outbox.attempts.label("attempts"))
            .where(CubicTable.name.in_(tables), self._has_changes(), or_(self._is_free_at(now, expires_at), is_ours))
            .order_by(CubicTable.id)
            .limit(n_tables)
            .with_for_update(key_share=True)  # registering loads, which refers to the tables, goes on
        )
        rows = connection.execute(statement).all()
        hold = update(CubicTable).where(CubicTable.id.in_([row.id for row in rows]))
        connection.execute(hold.values(self.outbox.lease.taken(claimant, expires_at)))
        found: list[OutboxWork] = []
        for row in rows:
            changes = self._oldest(connection, row.id, n_changes, subjects)
            subject_by_id = {change_id: subject for change_id, subject, _ in changes}
            seeds = frozenset(change_id for change_id, _, is_seed in changes if is_seed)
            found.append(OutboxWork(row.name, subject_by_id, row.attempts, seeds))
        return found

    @records
    def complete(self, connection: Connection, now: datetime, claimant: str, work: OutboxWork) -> bool:
        """Forget changes that the consumer knows now, and give the table back.

        Returns:
            False if the claim was lost. Then they are recorded once more: our late call may have overwritten newer
            state, which whoever held the table since had written.
        """
        values = {**self.outbox.lease.given_back(), self.outbox.attempts.key: 0, self.outbox.error.key: None}
        if not self._give_back(connection, claimant, work, values, now):
            return False
        for page in in_pages(work.changes):
            connection.execute(delete(self.outbox.changes).where(self.outbox.id.in_(page)))
        return True

    @records
    def postpone(
        self, connection: Connection, now: datetime, claimant: str, work: OutboxWork, due_at: datetime, reason: str
    ) -> bool:
        """Give a table back whose changes could not be processed, to be tried again at ``due_at``.

        Returns:
            False if the claim was lost; then as ``complete``, since a part may have been processed.
        """
        values = {
            self.outbox.lease.holder.key: None,
            self.outbox.lease.ends_at.key: due_at,
            self.outbox.attempts.key: self.outbox.attempts + 1,
            self.outbox.error.key: reason[:MAX_REASON_CHARACTERS],
        }
        return self._give_back(connection, claimant, work, values, now)

    @reads
    def backlog(self, connection: Connection) -> list[OutboxBacklog]:
        """Return what the consumer does not know yet, by table."""
        columns = (CubicTable.name, func.count(), func.min(self.outbox.inserted_at))
        statement = (
            select(*columns, self.outbox.lease.ends_at, self.outbox.error)
            .join(CubicTable, CubicTable.id == self.outbox.table_id)
            .group_by(CubicTable.id)
            .order_by(CubicTable.name)
        )
        return [OutboxBacklog(*row) for row in connection.execute(statement).tuples()]

    def _give_back(
        self, connection: Connection, claimant: str, work: OutboxWork, values: dict[Any, Any], now: datetime
    ) -> bool:
        """End the lease on a table; False if it was lost.

        Then the changes are recorded once more. Whoever has held the table since may have written newer state, which
        our late call has overwritten with older.
        """
        is_ours = (CubicTable.name == work.table, self.outbox.lease.holder == claimant)
        if connection.execute(update(CubicTable).where(*is_ours).values(values)).rowcount:
            return True
        table_id = connection.execute(select(CubicTable.id).where(CubicTable.name == work.table)).scalar_one()
        self.outbox.note(connection, ((table_id, subject) for subject in work.changes.values()), now)
        return False

    def _oldest(
        self, connection: Connection, table_id: int, limit: int, subjects: Collection[str] | None
    ) -> Sequence[tuple[int, str, bool]]:
        statement = (
            select(self.outbox.id, self.outbox.subject, self.outbox.is_seed)
            .where(self.outbox.table_id == table_id)
            .order_by(self.outbox.id)
            .limit(limit)
        )
        if subjects is None:
            return connection.execute(statement).tuples().all()
        pages = (statement.where(self.outbox.subject.in_(page)) for page in in_pages(subjects))
        return [row for page in pages for row in connection.execute(page).tuples()]

    def _is_free_at(self, now: datetime, expires_at: datetime) -> ColumnElement[bool]:
        """Return the condition that a table's lease is over, or without a lease its pause."""
        is_leased, ends_at = self.outbox.lease.holder.is_not(None), self.outbox.lease.ends_at
        return or_(is_leased & is_over(ends_at, now, expires_at), ~is_leased & is_due(ends_at, now))

    def _has_changes(self, recorded_before: datetime | None = None) -> ColumnElement[bool]:
        of_table = exists().where(self.outbox.table_id == CubicTable.id)
        if recorded_before is None:
            return of_table
        # What concerns a table as a whole was made by no run, which would report it itself.
        return of_table.where(or_(self.outbox.inserted_at <= recorded_before, self.outbox.subject == WHOLE_TABLE))


class CatalogChanges(Consumer):
    """Places in Springboard whose rows came, were replaced or went, on their way to the catalog."""

    outbox = CATALOG

    @records
    def refresh(self, connection: Connection, now: datetime, tables: Collection[str] | None = None) -> int:
        """Record all places with rows as changed, and all refused tables as due; returns the number of places."""
        is_asked_for: list[ColumnElement[bool]] = [] if tables is None else [CubicTable.name.in_(tables)]
        is_free = CubicTable.catalog_claimed_by.is_(None)
        connection.execute(update(CubicTable).where(is_free, *is_asked_for).values(catalog_due_at=None))
        has_rows = [CubicLoad.location.is_not(None), CubicLoad.status.in_(INGESTED), *is_asked_for]
        is_of = CubicTable.id == CubicLoad.table_id
        columns = (CubicLoad.table_id, CubicLoad.location, literal(now, UtcDateTime))
        places = select(*columns).join(CubicTable, is_of).where(*has_rows).order_by(CubicLoad.id)
        connection.execute(insert(CubicCatalogChange).from_select(["table_id", "location", "inserted_at"], places))
        # Drivers do not agree on how many rows such a statement says it wrote.
        return connection.execute(
            select(func.count()).select_from(CubicLoad).join(CubicTable, is_of).where(*has_rows)
        ).scalar_one()

    @reads
    def pending(self, connection: Connection, locations: Collection[str]) -> set[str]:
        """Return those of some Springboard keys with changes that the catalog does not know yet."""
        found: set[str] = set()
        for page in in_pages(locations):
            statement = select(CubicCatalogChange.location).where(CubicCatalogChange.location.in_(page))
            found.update(connection.execute(statement).scalars())
        return found


class DagsterChanges(Consumer):
    """Partitions whose rows or rejected loads changed, on their way to Dagster."""

    outbox = DAGSTER

    @reads
    def pending(self, connection: Connection, table: str, partition_keys: Collection[str]) -> Mapping[str, datetime]:
        """Return those of some partitions that Dagster does not show yet, with the oldest change of each."""
        found: dict[str, datetime] = {}
        for page in in_pages(partition_keys):
            statement = (
                select(CubicDagsterChange.partition_key, func.min(CubicDagsterChange.inserted_at))
                .join(CubicTable, CubicTable.id == CubicDagsterChange.table_id)
                .where(CubicTable.name == table, CubicDagsterChange.partition_key.in_(page))
                .group_by(CubicDagsterChange.partition_key)
            )
            found |= connection.execute(statement).tuples().all()
        return found
