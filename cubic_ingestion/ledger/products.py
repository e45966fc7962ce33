"""Products: how far each is, which version of each load it holds, and what its open merge is about to exchange.

A merge is recorded in three steps: its intents, before anything is committed to the warehouse; the commit, which is not
here and carries the merge's number; and its end, which makes the intents hold. After a kill, the number that the
warehouse's newest commit carries says whether the intents of an open merge hold (``finish``) or not (``forget``). Only
the holder of the product's deliveries may write: one that lost its lease changes nothing.
"""

import json
from array import array
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Update, and_, case, delete, exists, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, aliased

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.status import INGESTED
from cubic_ingestion.ledger.change_models import CubicConsumer
from cubic_ingestion.ledger.models import CubicLoad, CubicTable, CubicTableSchema
from cubic_ingestion.ledger.product_models import CubicProduct, CubicProductIntent, CubicProductLoad
from cubic_ingestion.ledger.records import HeldLoad, Intent, MergeFacts, ProductState, RecordedRows, StandingLoad
from cubic_ingestion.ledger.rows import in_pages, select_loads
from cubic_ingestion.ledger.schemas import Columns, columns_of
from cubic_ingestion.ledger.transactions import Part, reads, records, writes
from cubic_ingestion.ledger.upserts import upsert

_HAS_ROWS = (CubicLoad.status.in_(INGESTED), CubicLoad.location.is_not(None))
_IN_PAGES = {"yield_per": 10_000}
_MERGED = ("table_id", "load_id", "etag", "n_rows", "place", "refused")


class Products(Part):
    """What is on record of products.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def standing(self, connection: Connection, table: str, load_ids: Collection[int]) -> Mapping[int, StandingLoad]:
        """Return those of some loads whose rows are in Springboard, by id."""
        found: dict[int, StandingLoad] = {}
        known: dict[str, Columns] = {}
        for page in in_pages(load_ids):
            statement = (
                select_loads()
                .add_columns(func.coalesce(CubicTableSchema.columns, "[]").label("columns"))
                .outerjoin(CubicTableSchema, CubicTableSchema.id == CubicLoad.schema_id)
                .where(CubicTable.name == table, CubicLoad.id.in_(page), *_HAS_ROWS)
            )
            for row in connection.execute(statement):
                columns = known.get(row.columns) or known.setdefault(row.columns, columns_of(row.columns))
                name = row.s3_key.rpartition("/")[2]
                found[row.id] = StandingLoad(
                    row.id, row.location, name, row.n_rows, row.source_at, row.snapshot, columns
                )
        return found

    @reads
    def standing_ids(self, connection: Connection, table: str) -> list[int]:
        """Return the ids of all loads of a table whose rows are in Springboard."""
        statement = select(CubicLoad.id).join(CubicTable, CubicTable.id == CubicLoad.table_id)
        statement = statement.where(CubicTable.name == table, *_HAS_ROWS).order_by(CubicLoad.id)
        return list(connection.execute(statement).scalars())

    @reads
    def n_standing_rows(self, connection: Connection, tables: Collection[str]) -> int:
        """Count the rows of some tables in Springboard."""
        table_ids = select(CubicTable.id).where(CubicTable.name.in_(tables))
        statement = select(func.coalesce(func.sum(CubicLoad.n_rows), 0))
        return int(connection.execute(statement.where(CubicLoad.table_id.in_(table_ids), *_HAS_ROWS)).scalar_one() or 0)

    @reads
    def held(
        self, connection: Connection, table: str, load_ids: Collection[int] | None = None
    ) -> Mapping[int, HeldLoad]:
        """Return those of some loads that the product holds rows of, by id; all if ``load_ids`` is None."""
        names = ("load_id", "etag", "n_rows", "place", "refused")
        columns = [getattr(CubicProductLoad, name) for name in names]
        of_table = (
            select(*columns)
            .join(CubicTable, CubicTable.id == CubicProductLoad.table_id)
            .where(CubicTable.name == table)
            .order_by(CubicProductLoad.load_id)
        )
        pages = (
            [of_table]
            if load_ids is None
            else [of_table.where(CubicProductLoad.load_id.in_(page)) for page in in_pages(load_ids)]
        )
        return {
            load_id: HeldLoad(load_id, etag, n_rows, _place(place), refused)
            for statement in pages
            for load_id, etag, n_rows, place, refused in connection.execute(statement).tuples()
        }

    @reads
    def columns(self, connection: Connection, load_ids: Collection[int]) -> Mapping[int, Columns]:
        """Return the columns of some loads' files, by load; a load whose columns are not on record is left out."""
        known: dict[str, Columns] = {}
        found: dict[int, Columns] = {}
        for page in in_pages(load_ids):
            statement = (
                select(CubicLoad.id, CubicTableSchema.columns)
                .join(CubicTableSchema, CubicTableSchema.id == CubicLoad.schema_id)
                .where(CubicLoad.id.in_(page))
            )
            for load_id, text in connection.execute(statement).tuples():
                found[load_id] = known[text] if text in known else known.setdefault(text, columns_of(text))
        return found

    @reads
    def states(self, connection: Connection, tables: Collection[str] | None = None) -> list[ProductState]:
        """Return how far the products of some tables are, by name; all if ``tables`` is None.

        A product that nothing was ever merged into is left out.
        """
        is_held = exists().where(
            CubicProductLoad.table_id == CubicProduct.table_id, CubicProductLoad.load_id == CubicLoad.id
        )
        its_changes = aliased(CubicTable)
        # A full load is older than all its changes.
        newest, newest_of_own = (
            select(CubicLoad.source_at)
            .where(CubicLoad.table_id == table_id, is_held)
            .order_by(CubicLoad.source_at.desc())
            .limit(1)
            .scalar_subquery()
            for table_id in (its_changes.id, CubicProduct.table_id)
        )
        newest_at = func.coalesce(newest, newest_of_own, type_=CubicLoad.source_at.type)
        statement = (
            select(CubicProduct.__table__, CubicTable.name.label("table_name"), newest_at.label("newest_at"))
            .join(CubicTable, CubicTable.id == CubicProduct.table_id)
            .outerjoin(its_changes, its_changes.name == CubicTable.name + "__ct")
            .order_by(CubicProduct.name)
        )
        if tables is not None:
            statement = statement.where(CubicTable.name.in_(tables))
        return [_state(row) for row in connection.execute(statement)]

    @reads
    def last_merges(self, connection: Connection) -> Mapping[str, tuple[datetime | None, float | None]]:
        """Return when the last merge of each product ended, and how many seconds it took, by its table."""
        statement = select(CubicTable.name, CubicProduct.merged_at, CubicProduct.merge_seconds).join(
            CubicTable, CubicTable.id == CubicProduct.table_id
        )
        return {name: (at, seconds) for name, at, seconds in connection.execute(statement).tuples()}

    @reads
    def last_merge(self, connection: Connection, table: str) -> int:
        """Return the number of the last finished merge of a table's product; 0 if there was none."""
        return connection.execute(_of_product(CubicProduct.merge, table)).scalar() or 0

    @reads
    def last_intended(self, connection: Connection, table: str) -> int:
        """Return the number of the last merge of a table's product that was begun; 0 if there was none."""
        return connection.execute(_of_product(CubicProduct.intended, table)).scalar() or 0

    @reads
    def recorded(self, connection: Connection, table: str) -> RecordedRows:
        """Return which rows of which loads a table's product has after its last finished merge.

        One statement reads all of it, so that it is of one moment, in pages, so that the driver does not keep it all.
        """
        of_product = CubicProductLoad.table_id == CubicProduct.table_id
        statement = (
            select(CubicProduct.merge, CubicProduct.generation, CubicProduct.n_rows.label("n_all"))
            .add_columns(CubicProductLoad.place, CubicProductLoad.load_id, CubicProductLoad.n_rows)
            .join(CubicTable, CubicTable.id == CubicProduct.table_id)
            .outerjoin(CubicProductLoad, of_product)
            .where(CubicTable.name == table)
        )
        last, generation, n_rows = 0, None, 0
        by_text: dict[str, tuple[array[int], array[int]]] = {}
        for row in connection.execute(statement, execution_options=_IN_PAGES):
            last, generation, n_rows = row.merge, row.generation, row.n_all
            if row.place is not None:  # else the product has no loads
                ids, counts = by_text.setdefault(row.place, (array("q"), array("q")))
                ids.append(row.load_id)
                counts.append(row.n_rows)
        return RecordedRows(last, {_place(place): rows for place, rows in by_text.items()}, generation, n_rows)

    @reads
    def open_merge(self, connection: Connection, table: str) -> int | None:
        """Return the number of the merge that was begun and not ended; None if there is none."""
        statement = (
            select(CubicProductIntent.merge)
            .join(CubicTable, CubicTable.id == CubicProductIntent.table_id)
            .where(CubicTable.name == table)
            .limit(1)
        )
        return connection.execute(statement).scalar()

    @writes
    def intend(
        self, connection: Connection, claimant: str, table: str, product: str, intents: Sequence[Intent], above: int = 0
    ) -> int | None:
        """Record what a merge is about to exchange, and return its number; None if the lease was lost.

        The number is given once, and is higher than ``above``: no commit has carried it, even if the ledger was
        restored, and the late commit of a merge that was forgotten is not taken for this one's.
        """
        table_id = _leased(connection, claimant, table)
        if table_id is None:
            return None
        new = upsert(connection, CubicProduct).values(table_id=table_id, name=product, merge=0)
        connection.execute(new.on_conflict_do_update(index_elements=["table_id"], set_={"name": product}))
        last = select(CubicProduct.merge, CubicProduct.intended).where(CubicProduct.table_id == table_id)
        merge = max(*connection.execute(last).one(), above) + 1
        connection.execute(update(CubicProduct).where(CubicProduct.table_id == table_id).values(intended=merge))
        connection.execute(delete(CubicProductIntent).where(CubicProductIntent.table_id == table_id))
        rows = [
            {
                "table_id": table_id,
                "load_id": intent.load_id,
                "merge": merge,
                "etag": intent.etag,
                "n_rows": intent.n_rows,
                "place": json.dumps(intent.place),
                "refused": intent.refused,
            }
            for intent in intents
        ]
        for page in in_pages(rows):
            connection.execute(insert(CubicProductIntent), page)
        return merge

    @records
    def finish(self, connection: Connection, now: datetime, claimant: str, table: str, facts: MergeFacts) -> bool:
        """Make the intents of the open merge hold; returns False if the lease was lost."""
        table_id = _leased(connection, claimant, table)
        if table_id is None:
            return False
        merge = connection.execute(
            select(func.max(CubicProductIntent.merge)).where(CubicProductIntent.table_id == table_id)
        ).scalar()
        if merge is None:  # an answer was lost, and this is the same call once more
            return True
        of_table = CubicProductIntent.table_id == table_id
        touched = select(CubicProductIntent.load_id).where(of_table)
        is_taken_out = (CubicProductLoad.table_id == table_id, CubicProductLoad.load_id.in_(touched))
        is_put_in = (of_table, CubicProductIntent.etag.is_not(None))
        n_lost, n_gained = (
            connection.execute(select(func.count()).select_from(loads).where(*which)).scalar_one()
            for loads, which in ((CubicProductLoad, is_taken_out), (CubicProductIntent, is_put_in))
        )
        connection.execute(delete(CubicProductLoad).where(*is_taken_out))
        copied = select(*(getattr(CubicProductIntent, name) for name in _MERGED)).where(*is_put_in)
        connection.execute(insert(CubicProductLoad).from_select(_MERGED, copied))
        connection.execute(delete(CubicProductIntent).where(of_table))
        values: dict[str, Any] = {
            "merge": merge,
            "merged_at": now,
            "n_loads": CubicProduct.n_loads - n_lost + n_gained,
            "n_rows": facts.n_rows,
            "n_files": facts.n_files,
            "n_bytes": facts.n_bytes,
        }
        if facts.generation is not None:
            # A person may have chosen another one since the merge began.
            is_free = and_(
                CubicProduct.generation.is_not_distinct_from(facts.replaces),
                func.coalesce(CubicProduct.chosen_over, "") < facts.generation,
            )
            values["generation"] = case((is_free, facts.generation), else_=CubicProduct.generation)
        if facts.seconds is not None:
            values["merge_seconds"] = facts.seconds
        connection.execute(update(CubicProduct).where(CubicProduct.table_id == table_id).values(values))
        return True

    @writes
    def forget(self, connection: Connection, claimant: str, table: str) -> bool:
        """Forget the open merge, which was not committed; returns False if the lease was lost."""
        table_id = _leased(connection, claimant, table)
        if table_id is not None:
            connection.execute(delete(CubicProductIntent).where(CubicProductIntent.table_id == table_id))
        return table_id is not None

    @writes
    def shown(self, connection: Connection, table: str, snapshot_id: int, facts: MergeFacts) -> None:
        """Record which of the warehouse's snapshots the catalog shows, and how large it is."""
        table_id = select(CubicTable.id).where(CubicTable.name == table).scalar_subquery()
        values: dict[str, Any] = {"snapshot_id": snapshot_id, "n_files": facts.n_files, "n_bytes": facts.n_bytes}
        if facts.seconds is not None:
            values["merge_seconds"] = facts.seconds
        connection.execute(update(CubicProduct).where(CubicProduct.table_id == table_id).values(values))

    @writes
    def switch(self, connection: Connection, table: str, generation: str, newest: str) -> bool:
        """Record that a person chose the generation that the product of a base table shows.

        From then on, only a generation that is newer than ``newest`` replaces it by itself.

        Args:
            connection: Where to write.
            table: The base table.
            generation: What was chosen.
            newest: The newest generation there is at this moment.

        Returns:
            False if nothing was ever merged into the product, so that there is nothing to switch.
        """
        values = {"generation": generation, "chosen_over": newest, "settles_at": None}
        return bool(connection.execute(_change_of(table).values(values)).rowcount)

    @writes
    def set_settles_at(self, connection: Connection, claimant: str, table: str, moment: datetime | None) -> bool:
        """Record when a newer generation becomes complete by time alone; returns False if the lease was lost."""
        table_id = _leased(connection, claimant, table)
        if table_id is not None:
            connection.execute(_change_of(table).values(settles_at=moment))
        return table_id is not None

    @writes
    def forget_settled(self, connection: Connection, tables: Collection[str]) -> None:
        """Forget when newer generations become complete by time alone: their files were delivered again for it."""
        for table in tables:
            connection.execute(_change_of(table).values(settles_at=None))

    @reads
    def settled(self, connection: Connection, now: datetime) -> list[str]:
        """Return the declared base tables with a newer generation that became complete by time alone."""
        statement = (
            select(CubicTable.name)
            .join(CubicProduct, CubicProduct.table_id == CubicTable.id)
            .where(CubicTable.deleted_at.is_(None), CubicProduct.settles_at <= now)
            .order_by(CubicTable.name)
        )
        return list(connection.execute(statement).scalars())


def _change_of(table: str) -> Update:
    table_id = select(CubicTable.id).where(CubicTable.name == table).scalar_subquery()
    return update(CubicProduct).where(CubicProduct.table_id == table_id)


def _of_product(column: InstrumentedAttribute[int], table: str) -> Select[tuple[int]]:
    return select(column).join(CubicTable, CubicTable.id == CubicProduct.table_id).where(CubicTable.name == table)


def _leased(connection: Connection, claimant: str, table: str) -> int | None:
    """Return the id of a table whose product a claimant holds; nobody takes it over before the transaction ends."""
    statement = (
        select(CubicConsumer.table_id)
        .join(CubicTable, CubicTable.id == CubicConsumer.table_id)
        .where(CubicTable.name == table, CubicConsumer.consumer == Consumer.PRODUCTS.value)
        .where(CubicConsumer.claimed_by == claimant)
        .with_for_update(of=CubicConsumer)
    )
    return connection.execute(statement).scalar()


def _state(row: Row[Any]) -> ProductState:
    return ProductState(
        table=row.table_name,
        name=row.name,
        merge=row.merge,
        snapshot_id=row.snapshot_id,
        merged_at=row.merged_at,
        merge_seconds=row.merge_seconds,
        newest_at=row.newest_at,
        n_loads=row.n_loads,
        n_rows=row.n_rows,
        n_files=row.n_files,
        n_bytes=row.n_bytes,
        generation=row.generation,
        chosen_over=row.chosen_over,
        settles_at=row.settles_at,
    )


def _place(text: str) -> tuple[str | int, ...]:
    return tuple(json.loads(text))
