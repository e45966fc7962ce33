"""Trouble of products: loads whose changes are left out, and snapshots with a rejected LOAD file. Indexes find both."""

from collections.abc import Mapping

from sqlalchemy import Connection, and_, exists, func, or_, select

from cubic_ingestion.domain.generation import Generation
from cubic_ingestion.domain.status import TO_ERROR
from cubic_ingestion.ledger.generations import generation_of
from cubic_ingestion.ledger.models import CubicLoad, CubicTable
from cubic_ingestion.ledger.product_models import CubicProduct, CubicProductLoad
from cubic_ingestion.ledger.records import RefusedLoads
from cubic_ingestion.ledger.transactions import Part, reads


class ProductTrouble(Part):
    """Looks up what is wrong.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def refused(self, connection: Connection) -> list[RefusedLoads]:
        """Return the loads whose changes are not applied, one record per declared table; by a partial index."""
        found = (
            select(
                CubicProductLoad.table_id, func.count().label("n"), func.min(CubicProductLoad.load_id).label("first")
            )
            .where(CubicProductLoad.refused.is_not(None))
            .group_by(CubicProductLoad.table_id)
            .subquery()
        )
        of_first = and_(
            CubicProductLoad.table_id == found.c.table_id,
            CubicProductLoad.load_id == found.c.first,
            CubicProductLoad.refused.is_not(None),
        )
        statement = (
            select(CubicTable.name, CubicProduct.name, found.c.n, found.c.first, CubicLoad.s3_key)
            .add_columns(CubicProductLoad.refused)
            .join(found, found.c.table_id == CubicTable.id)
            .join(CubicProduct, CubicProduct.table_id == found.c.table_id)
            .join(CubicLoad, CubicLoad.id == found.c.first)
            .join(CubicProductLoad, of_first)
            .where(CubicTable.deleted_at.is_(None))
            .order_by(CubicTable.name)
        )
        return [RefusedLoads(*row) for row in connection.execute(statement).tuples()]

    @reads
    def refused_of(self, connection: Connection, table: str) -> Mapping[int, str]:
        """Return the loads whose changes the product of a base table does not apply, and why; by the same index."""
        statement = (
            select(CubicProductLoad.load_id, func.coalesce(CubicProductLoad.refused, ""))
            # The sum keeps SQLite from going through all loads of the table.
            .join(CubicTable, CubicTable.id == CubicProductLoad.table_id + 0)
            .where(CubicTable.name == table, CubicProductLoad.refused.is_not(None))
            .order_by(CubicProductLoad.load_id)
        )
        return dict(connection.execute(statement).tuples().all())

    @reads
    def rejected(self, connection: Connection) -> list[tuple[str, str, Generation]]:
        """Return base tables and products that show a generation of which a LOAD file is in Error."""
        is_rejected = exists().where(
            CubicLoad.table_id == CubicProduct.table_id,
            CubicLoad.status.in_(TO_ERROR),
            or_(CubicLoad.partition_key == CubicProduct.generation, CubicLoad.partition_key.is_(None)),
        )
        suspects = (
            select(CubicTable.name, CubicProduct.name, CubicProduct.generation)
            .join(CubicProduct, CubicProduct.table_id == CubicTable.id)
            .where(CubicTable.deleted_at.is_(None), CubicProduct.generation.is_not(None), is_rejected)
            .order_by(CubicTable.name)
        )
        shown = [
            (table, product, generation_of(connection, table, generation or ""))
            for table, product, generation in connection.execute(suspects).tuples().all()
        ]
        return [(table, product, each) for table, product, each in shown if each and each.rejected]
