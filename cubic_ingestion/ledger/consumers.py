"""Consumers: who is told what has changed. Each leases a table, tells its changes, and has them forgotten."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import ClassVar

from sqlalchemy import ColumnElement, Connection, func, insert, literal, select, update

from cubic_ingestion.ledger.columns import UtcDateTime
from cubic_ingestion.ledger.models import CubicCatalogChange, CubicDagsterChange, CubicLoad, CubicTable
from cubic_ingestion.ledger.outbox import CATALOG, DAGSTER, Outbox
from cubic_ingestion.ledger.records import OutboxBacklog, OutboxWork
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.transactions import Part, reads, records, writes
from cubic_ingestion.ledger.transitions import INGESTED


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
        return self.outbox.due(connection, tables, now, expires_at, recorded_before)

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
        return self.outbox.claim(
            connection,
            tables,
            claimant=claimant,
            now=now,
            expires_at=expires_at,
            n_tables=n_tables,
            n_changes=n_changes,
            subjects=subjects,
        )

    @records
    def complete(self, connection: Connection, now: datetime, claimant: str, work: OutboxWork) -> bool:
        """Forget changes that the consumer knows now, and give the table back.

        Returns:
            False if the claim was lost. Then they are recorded once more: what was told late may have taken the place
            of something newer, which whoever held the table since had told.
        """
        return self.outbox.complete(connection, claimant, work, now)

    @records
    def postpone(
        self, connection: Connection, now: datetime, claimant: str, work: OutboxWork, due_at: datetime, reason: str
    ) -> bool:
        """Give a table back whose changes could not be told, to be tried again at ``due_at``.

        Returns:
            False if the claim was lost; then as ``complete``, since a part may have been told.
        """
        return self.outbox.postpone(connection, claimant, work, due_at, reason, now)

    @reads
    def backlog(self, connection: Connection) -> list[OutboxBacklog]:
        """Return what the consumer does not know yet, by table."""
        return self.outbox.backlog(connection)


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
