"""Differences: which loads a product holds otherwise than it should, by what is on record, whatever is on its way."""

import json

from sqlalchemy import Connection, ScalarSelect, Subquery, null, or_, select, union_all

from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.domain.snapshot import snapshot_start
from cubic_ingestion.domain.status import INGESTED
from cubic_ingestion.ledger.models import CubicLoad, CubicLoadOdsSnapshot, CubicTable
from cubic_ingestion.ledger.product_models import CubicProduct, CubicProductLoad
from cubic_ingestion.ledger.transactions import Part, reads

Difference = tuple[int, int | None, int | None]
"""A load, the rows that the product holds of it, and those that it should; None for none. The same number: of another
version."""

_HAS_ROWS = (CubicLoad.status.in_(INGESTED), CubicLoad.location.is_not(None))


class Differences(Part):
    """Compares products with what they are made of.

    Every method raises ``DatabaseUnavailableError`` for what may pass, but did not within the time of retries.
    """

    @reads
    def of(self, connection: Connection, product: Product) -> list[Difference]:
        """Return the loads that differ.

        ``__changes`` and ``__events`` are compared with the loads that stand in Springboard. ``__current`` is compared
        with the LOAD files of the generation that it holds, and with the loads of that generation that ``__changes``
        holds.
        """
        table = product.source.name
        held = select(*_HELD).where(CubicProductLoad.table_id == _id_of(table)).subquery()
        if product.kind is not ProductKind.CURRENT:
            standing = select(*_STANDING).where(CubicLoad.table_id == _id_of(table), *_HAS_ROWS)
            return _compared(connection, held, standing.subquery())
        generation = _held_generation(connection, table)
        if generation is None:  # it was never built
            return []
        return _compared(connection, held, _made_of(table, generation))


_HELD = (CubicProductLoad.load_id, CubicProductLoad.n_rows, CubicProductLoad.etag)
_STANDING = (CubicLoad.id.label("load_id"), CubicLoad.n_rows, null().label("etag"))


def _id_of(table: str) -> ScalarSelect[int]:
    return select(CubicTable.id).where(CubicTable.name == table).scalar_subquery()


def _held_generation(connection: Connection, base: str) -> str | None:
    """Return the generation of the loads that a ``__current`` holds; the one on record if it holds none.

    They differ between a person's choice and the merge that follows.
    """
    place = select(CubicProductLoad.place).where(CubicProductLoad.table_id == _id_of(base)).limit(1)
    held = connection.execute(place).scalar()
    if held is not None:
        return str(json.loads(held)[0])
    return connection.execute(select(CubicProduct.generation).where(CubicProduct.table_id == _id_of(base))).scalar()


def _made_of(base: str, generation: str) -> Subquery:
    """Select what the ``__current`` of a generation is made of."""
    load_files = (
        select(*_STANDING)
        .join(CubicLoadOdsSnapshot, CubicLoadOdsSnapshot.load_id == CubicLoad.id)
        .where(CubicLoad.table_id == _id_of(base), *_HAS_ROWS)
        .where(CubicLoadOdsSnapshot.snapshot == snapshot_start(generation))
    )
    place = json.dumps([generation]).removesuffix("]")
    changes = select(*_HELD).where(
        CubicProductLoad.table_id == _id_of(f"{base}__ct"), CubicProductLoad.place.startswith(place, autoescape=True)
    )
    return union_all(load_files, changes).subquery()


def _compared(connection: Connection, held: Subquery, wanted: Subquery) -> list[Difference]:
    a, b = held.c, wanted.c
    is_other = or_(b.load_id.is_(None), a.n_rows != b.n_rows, a.etag != b.etag)  # an unknown ETag differs from none
    kept = select(a.load_id, a.n_rows, b.n_rows).outerjoin(wanted, b.load_id == a.load_id).where(is_other)
    lacking = select(b.load_id, a.n_rows, b.n_rows).outerjoin(held, b.load_id == a.load_id)
    statements = (kept, lacking.where(a.load_id.is_(None)))
    return sorted(row for each in statements for row in connection.execute(each).tuples())
