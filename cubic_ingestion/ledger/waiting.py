"""Waiting: what is on its way to a consumer, read and left as it is."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, union
from sqlalchemy.orm import InstrumentedAttribute

from cubic_ingestion.domain.changes import WHOLE_TABLE, Consumer
from cubic_ingestion.domain.holding import CLOCK_TOLERANCE
from cubic_ingestion.ledger.change_models import CubicChange, CubicConsumer, CubicDelivery
from cubic_ingestion.ledger.leases import is_due, is_over, moments
from cubic_ingestion.ledger.models import CubicLoad, CubicTable
from cubic_ingestion.ledger.records import Backlog
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.ledger.seeds import HAS_ROWS
from cubic_ingestion.ledger.transactions import Part, Transactions, reads

Value = TypeVar("Value", int, str)

IS_DECLARED = CubicTable.deleted_at.is_(None)
ANY_ROWS = exists().where(CubicLoad.table_id == CubicTable.id, HAS_ROWS)
_IS_LEASED = CubicConsumer.claimed_by.is_not(None)
# A table's lease is over, or without a lease its pause.
IS_FREE = or_(_IS_LEASED & is_over(CubicConsumer.due_at), ~_IS_LEASED & is_due(CubicConsumer.due_at))


class Waiting(Part):
    """Changes that wait for one consumer.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.

    Args:
        database: Runs its statements.
        now: Tells the time.
        consumer: Whose deliveries.
    """

    def __init__(self, database: Transactions, now: Callable[[], datetime], consumer: Consumer) -> None:
        super().__init__(database, now)
        self.consumer = consumer
        self._is_ours = CubicDelivery.consumer == consumer.value
        self._of_table = and_(CubicConsumer.table_id == CubicTable.id, CubicConsumer.consumer == consumer.value)

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
        """Return the tables with deliveries that ``claim`` with these moments would get.

        Args:
            connection: Where to ask.
            tables: Names of tables.
            now: The present moment.
            expires_at: When a claim that is taken now ends.
            recorded_before: Only tables with a change that was recorded before this moment, or by a clock that was
                ahead of ``now``, or that concerns the table as a whole; all if None.
        """
        named = (
            select(CubicTable.id, CubicTable.name)
            .outerjoin(CubicConsumer, self._of_table)
            .where(CubicTable.name.in_(tables))
        )
        is_free = or_(CubicConsumer.table_id.is_(None), IS_FREE)
        is_old = () if recorded_before is None else (_is_recorded(recorded_before, now),)
        # Not one condition with OR: PostgreSQL would look through all loads for the tables that have some.
        statement = union(
            named.where(is_free, self._has_deliveries(*is_old)), named.where(self._lacks_seeds())
        ).order_by("id")
        return [row.name for row in connection.execute(statement, moments(now, expires_at))]

    @reads
    def backlog(self, connection: Connection) -> list[Backlog]:
        """Return what the consumer has not processed yet, by table; what is declared no longer is left out."""
        waiting = (
            select(CubicDelivery.table_id, func.count().label("n"), func.min(CubicDelivery.change_id).label("oldest"))
            .where(self._is_ours)
            .group_by(CubicDelivery.table_id)
            .subquery()
        )
        statement = (
            select(CubicTable.name, waiting.c.n, CubicChange.inserted_at, CubicConsumer.due_at, CubicConsumer.error)
            .select_from(waiting)
            .join(CubicTable, CubicTable.id == waiting.c.table_id)
            .join(CubicChange, CubicChange.id == waiting.c.oldest)
            .outerjoin(CubicConsumer, self._of_table)
            .where(IS_DECLARED)
            .order_by(CubicTable.name)
        )
        return [Backlog(*row) for row in connection.execute(statement).tuples()]

    @reads
    def unfollowed(self, connection: Connection, tables: Collection[str]) -> list[str]:
        """Return those of some tables that have rows in Springboard and of which the consumer never got a change."""
        statement = select(CubicTable.name).outerjoin(CubicConsumer, self._of_table).order_by(CubicTable.name)
        statement = statement.where(CubicTable.name.in_(tables), IS_DECLARED, self._lacks_seeds())
        return list(connection.execute(statement).scalars())

    @reads
    def followed(self, connection: Connection) -> list[str]:
        """Return the tables of which the consumer has got changes, or will."""
        statement = select(CubicTable.name).join(CubicConsumer, self._of_table).order_by(CubicTable.name)
        waiting = select(CubicTable.name).where(self._has_deliveries())
        return sorted({*connection.execute(statement).scalars(), *connection.execute(waiting).scalars()})

    @reads
    def leased(self, connection: Connection) -> list[str]:
        """Return the tables that somebody holds, also where the lease has ended and nobody has taken the table over."""
        statement = select(CubicTable.name).join(CubicConsumer, self._of_table).order_by(CubicTable.name)
        return list(connection.execute(statement.where(_IS_LEASED)).scalars())

    @reads
    def pending_loads(self, connection: Connection, load_ids: Collection[int]) -> set[int]:
        """Return those of some loads with changes that the consumer has not processed yet."""
        return self._pending(connection, CubicChange.load_id, load_ids)

    @reads
    def pending_locations(self, connection: Connection, locations: Collection[str]) -> set[str]:
        """Return those of some Springboard keys with changes that the consumer has not processed yet."""
        return self._pending(connection, CubicChange.location, locations)

    @reads
    def pending_partitions(
        self, connection: Connection, table: str, partition_keys: Collection[str]
    ) -> Mapping[str, datetime]:
        """Return those of some partitions with changes that are not processed yet, with the oldest of each."""
        found: dict[str, datetime] = {}
        for page in in_pages(partition_keys):
            statement = (
                select(CubicChange.partition_key, func.min(CubicChange.inserted_at))
                .join(CubicDelivery, CubicDelivery.change_id == CubicChange.id)
                .join(CubicTable, CubicTable.id == CubicDelivery.table_id)
                .where(self._is_ours, CubicTable.name == table, CubicChange.partition_key.in_(page))
                .group_by(CubicChange.partition_key)
            )
            found |= connection.execute(statement).tuples().all()
        return found

    def _pending(
        self, connection: Connection, column: InstrumentedAttribute[Value | None], values: Collection[Value]
    ) -> set[Value]:
        """Return those of some values that a column has in changes which the consumer has not processed yet."""
        found: set[Value] = set()
        for page in in_pages(values):
            changed = select(column).join(CubicDelivery, CubicDelivery.change_id == CubicChange.id)
            rows = connection.execute(changed.where(self._is_ours, column.in_(page)))
            found.update(value for value in rows.scalars() if value is not None)
        return found

    def _has_deliveries(self, *of_changes: ColumnElement[bool]) -> ColumnElement[bool]:
        of_table = exists().where(self._is_ours, CubicDelivery.table_id == CubicTable.id)
        return of_table.where(CubicChange.id == CubicDelivery.change_id, *of_changes) if of_changes else of_table

    def _lacks_seeds(self) -> ColumnElement[bool]:
        """Return the condition that a table has rows, and nothing of it was ever delivered to the consumer."""
        return CubicConsumer.table_id.is_(None) & ~self._has_deliveries() & ANY_ROWS


def _is_recorded(before: datetime, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a change is from before a moment, as far as its time can be believed, or of no run."""
    return or_(
        CubicChange.inserted_at <= before,
        CubicChange.inserted_at > now + CLOCK_TOLERANCE,
        # What concerns a table as a whole was made by no run, which would report it itself.
        CubicChange.partition_key == WHOLE_TABLE,
    )
