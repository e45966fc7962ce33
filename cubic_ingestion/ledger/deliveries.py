"""Deliveries: changes on their way to a consumer. It leases a table, processes its deliveries, and deletes just those.

A change says only that something is different. The consumer looks up what is true when it processes the change, so the
order of changes means nothing, and to process one twice does no harm.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, exists, func, literal, or_, select, update

from cubic_ingestion.domain.changes import ChangeKind
from cubic_ingestion.ledger.change_models import CubicChange, CubicConsumer, CubicDelivery
from cubic_ingestion.ledger.engine import FEED_LOCK, be_with_others
from cubic_ingestion.ledger.leases import DELIVERIES, moments
from cubic_ingestion.ledger.models import CubicLoad, CubicTable
from cubic_ingestion.ledger.records import Delivery, TableDeliveries
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.seeds import HAS_ROWS, last_row_changes, record_unknown_rows
from cubic_ingestion.ledger.transactions import records, writes
from cubic_ingestion.ledger.transitions import MAX_REASON_CHARACTERS
from cubic_ingestion.ledger.upserts import Upsert, upsert
from cubic_ingestion.ledger.waiting import ANY_ROWS, IS_DECLARED, IS_FREE, Waiting


class Deliveries(Waiting):
    """Changes on their way to one consumer; one claimant holds a table at a time.

    A table that the consumer has no row of yet is seeded at the first claim: with the last change of each load that has
    rows in Springboard. Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time
    of retries.
    """

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
        partition_keys: Collection[str] | None = None,
    ) -> list[TableDeliveries]:
        """Lease some tables, and return their oldest deliveries.

        Args:
            connection: Where to ask.
            tables: Names of tables.
            claimant: Who takes them; begins with a run's id.
            now: The present moment.
            expires_at: From then on somebody else may take the tables. A claim that ends a minute later, or more, was
                taken by a clock that is ahead, and is free to take.
            n_tables: Maximum number of tables.
            n_changes: Maximum number of deliveries of each.
            partition_keys: Only changes of these partitions; all if None.
        """
        self._follow(connection, tables, now)
        # A table that this claimant holds already counts as due: a claim whose commit was not answered is made again.
        is_free = or_(IS_FREE, CubicConsumer.claimed_by == claimant)
        statement = (
            select(CubicTable.id, CubicTable.name, CubicConsumer.attempts)
            .join(CubicConsumer, self._of_table)
            .where(CubicTable.name.in_(tables), self._has_deliveries(), is_free)
            .order_by(CubicTable.id)
            .limit(n_tables)
            .with_for_update(of=CubicConsumer)
        )
        claimed: dict[int, TableDeliveries] = {}
        for row in connection.execute(statement, moments(now, expires_at)).all():
            oldest = self._oldest(connection, row.id, n_changes, partition_keys)
            if oldest or partition_keys is not None:
                claimed[row.id] = TableDeliveries(row.name, oldest, row.attempts)
            else:
                self._end_those_without_change(connection, row.id)
        connection.execute(self._at(claimed).values(DELIVERIES.taken(claimant, expires_at)))
        return list(claimed.values())

    @writes
    def renew(self, connection: Connection, claimant: str, expires_at: datetime) -> int:
        """Extend the leases of a claimant on the consumer's tables; returns how many it still holds."""
        is_of_consumer = CubicConsumer.consumer == self.consumer.value
        return DELIVERIES.renew(connection, claimant, expires_at, is_of_consumer)

    @writes
    def complete(
        self, connection: Connection, claimant: str, work: TableDeliveries, onwards: str | None = None
    ) -> bool:
        """Delete deliveries that were processed, and give the table back.

        Args:
            connection: Where to write.
            claimant: Who holds the table.
            work: What it claimed.
            onwards: Another table that the same changes are delivered to from now on; none by default.

        Returns:
            False if the claim was lost. Then they are made once more: our late call may have overwritten newer state,
            which whoever held the table since had written.
        """
        values = {**DELIVERIES.given_back(), "attempts": 0, "error": None}
        table_id = self._give_back(connection, claimant, work, values)
        if table_id is not None:
            self._end(connection, table_id, work.deliveries, onwards)
        return table_id is not None

    @writes
    def postpone(
        self,
        connection: Connection,
        claimant: str,
        work: TableDeliveries,
        due_at: datetime,
        reason: str,
        done: Sequence[Delivery] = (),
        onwards: str | None = None,
    ) -> bool:
        """Give a table back whose deliveries could not be processed, to be tried again at ``due_at``.

        Args:
            connection: Where to write.
            claimant: Who holds the table.
            work: What it claimed.
            due_at: When to try again.
            reason: Why it failed.
            done: Those of the deliveries that were processed nevertheless; they are deleted.
            onwards: As ``complete`` takes it, for these.

        Returns:
            False if the claim was lost; then as ``complete``, since a part may have been processed.
        """
        values: dict[str, Any] = {"claimed_by": None, "due_at": due_at, "error": reason[:MAX_REASON_CHARACTERS]}
        values["attempts"] = CubicConsumer.attempts + 1
        table_id = self._give_back(connection, claimant, work, values)
        if table_id is not None:
            self._end(connection, table_id, done, onwards)
        return table_id is not None

    @records
    def refresh(self, connection: Connection, now: datetime, tables: Collection[str] | None = None) -> int:
        """Deliver the last change of every load with rows again, and end pauses; returns the number of loads.

        Args:
            connection: Where to write.
            now: The present moment.
            tables: Names of tables; all that are declared if None.
        """
        named = IS_DECLARED if tables is None else CubicTable.name.in_(tables)
        table_ids = connection.execute(select(CubicTable.id).where(named).order_by(CubicTable.id)).scalars().all()
        self._be_known(connection, table_ids)
        connection.execute(self._at(table_ids).where(CubicConsumer.claimed_by.is_(None)).values(due_at=None))
        for table_id in table_ids:
            self._seed(connection, table_id, now, is_seed=False)
        # Drivers do not agree on how many rows such a statement says it wrote.
        with_rows = select(func.count()).select_from(CubicLoad).where(HAS_ROWS, CubicLoad.table_id.in_(table_ids))
        return connection.execute(with_rows).scalar_one()

    @writes
    def forget(self, connection: Connection, tables: Collection[str]) -> None:
        """Delete what is on its way of some tables that nobody holds, as if the consumer had never followed them."""
        of_tables = select(CubicTable.id).where(CubicTable.name.in_(tables))
        followed = (CubicConsumer.consumer == self.consumer.value, CubicConsumer.table_id.in_(of_tables))
        connection.execute(delete(CubicConsumer).where(*followed, CubicConsumer.claimed_by.is_(None)))
        connection.execute(delete(CubicDelivery).where(self._is_ours, CubicDelivery.table_id.in_(of_tables)))

    def _follow(self, connection: Connection, tables: Collection[str], now: datetime) -> None:
        """Begin to follow the tables that the consumer does not know yet, each from what is in Springboard."""
        unknown = select(CubicTable.id).outerjoin(CubicConsumer, self._of_table)
        unknown = unknown.where(CubicTable.name.in_(tables), CubicConsumer.table_id.is_(None)).order_by(CubicTable.id)
        new = self._be_known(connection, connection.execute(unknown).scalars().all())
        with_rows = select(CubicTable.id).where(CubicTable.id.in_(new), ANY_ROWS).order_by(CubicTable.id)
        for table_id in connection.execute(with_rows).scalars().all() if new else ():
            self._seed(connection, table_id, now, is_seed=True)

    def _be_known(self, connection: Connection, table_ids: Collection[int]) -> list[int]:
        """Give tables a row of the consumer's; returns those that had none, also if somebody else does the same."""
        rows = [{"consumer": self.consumer.value, "table_id": table_id} for table_id in table_ids]
        if not rows:
            return []
        statement = upsert(connection, CubicConsumer).on_conflict_do_nothing().returning(CubicConsumer.table_id)
        return list(connection.execute(statement, rows).scalars())

    def _seed(self, connection: Connection, table_id: int, now: datetime, *, is_seed: bool) -> None:
        """Deliver the last change of each load of a table that has rows in Springboard."""
        be_with_others(connection, FEED_LOCK)
        record_unknown_rows(connection, table_id, now)
        last = last_row_changes(table_id).c.change_id
        # The condition also keeps SQLite from taking ON CONFLICT for that of a join.
        known = select(literal(self.consumer.value), literal(table_id), last, literal(is_seed)).where(last.is_not(None))
        names = ["consumer", "table_id", "change_id", "is_seed"]
        deliveries = upsert(connection, CubicDelivery).from_select(names, known)
        connection.execute(deliveries.on_conflict_do_nothing() if is_seed else _made_again(deliveries))

    def _at(self, table_ids: Collection[int]) -> Any:  # noqa: ANN401 - an update of any columns
        """Update the consumer's rows of some tables."""
        return update(CubicConsumer).where(
            CubicConsumer.consumer == self.consumer.value, CubicConsumer.table_id.in_(table_ids)
        )

    def _give_back(
        self, connection: Connection, claimant: str, work: TableDeliveries, values: Mapping[str, Any]
    ) -> int | None:
        """End the lease on a table; returns its id, or None if the lease was lost.

        Then the deliveries are made once more. Whoever has held the table since may have written newer state, which our
        late call has overwritten with older.
        """
        table_id = connection.execute(select(CubicTable.id).where(CubicTable.name == work.table)).scalar_one()
        held = self._at([table_id]).where(CubicConsumer.claimed_by == claimant)
        if connection.execute(held.values(values)).rowcount:
            return table_id
        self._deliver_to(connection, work.table, [delivery.change_id for delivery in work.deliveries])
        return None

    def _deliver_to(self, connection: Connection, table: str, change_ids: Sequence[int]) -> None:
        """Deliver changes to a table; some of them may be forgotten by now."""
        be_with_others(connection, FEED_LOCK)
        table_id = select(CubicTable.id).where(CubicTable.name == table).scalar_subquery()
        for page in in_pages(change_ids):
            which = select(literal(self.consumer.value), table_id, CubicChange.id).where(CubicChange.id.in_(page))
            names = ["consumer", "table_id", "change_id"]
            connection.execute(_made_again(upsert(connection, CubicDelivery).from_select(names, which)))

    def _end(
        self, connection: Connection, table_id: int, deliveries: Sequence[Delivery], onwards: str | None = None
    ) -> None:
        """Delete deliveries, but those that were made once more meanwhile; deliver them to another table, if any."""
        if onwards is not None:
            self._deliver_to(connection, onwards, [delivery.change_id for delivery in deliveries])
        for times in {delivery.times for delivery in deliveries}:
            for page in in_pages([each.change_id for each in deliveries if each.times == times]):
                is_done = (CubicDelivery.table_id == table_id, CubicDelivery.change_id.in_(page))
                connection.execute(delete(CubicDelivery).where(self._is_ours, *is_done, CubicDelivery.times == times))

    def _oldest(
        self, connection: Connection, table_id: int, limit: int, partition_keys: Collection[str] | None
    ) -> Sequence[Delivery]:
        statement = (
            select(
                *(CubicChange.id, CubicChange.load_id, CubicChange.kind, CubicChange.partition_key),
                *(CubicChange.location, CubicDelivery.is_seed, CubicDelivery.times),
            )
            .join(CubicDelivery, CubicDelivery.change_id == CubicChange.id)
            .where(self._is_ours, CubicDelivery.table_id == table_id)
            .order_by(CubicDelivery.change_id)
            .limit(limit)
        )
        pages = [statement]
        if partition_keys is not None:
            pages = [statement.where(CubicChange.partition_key.in_(page)) for page in in_pages(partition_keys)]
        return [
            Delivery(row.id, row.load_id, ChangeKind(row.kind), row.partition_key, row.location, row.is_seed, row.times)
            for page in pages
            for row in connection.execute(page)
        ]

    def _end_those_without_change(self, connection: Connection, table_id: int) -> None:
        """Delete deliveries whose change is gone: an older release could forget it while it was delivered again."""
        is_gone = ~exists().where(CubicChange.id == CubicDelivery.change_id)
        connection.execute(delete(CubicDelivery).where(self._is_ours, CubicDelivery.table_id == table_id, is_gone))


def _made_again(deliveries: Upsert) -> Upsert:
    """Make deliveries; those that wait already are not done with when somebody who processes them now is."""
    return deliveries.on_conflict_do_update(
        index_elements=["consumer", "table_id", "change_id"], set_={"times": CubicDelivery.times + 1}
    )
