"""Products: the tables that people query. Each product is derived from the Parquet files of one declared table."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cubic_ingestion.domain.table import StreamName, Table

MERGE = "cubic.merge"
"""Property of a snapshot in the warehouse: the number of the newest merge in it."""


class ProductKind(StrEnum):
    """What a product holds of its table."""

    CHANGES = "changes"
    """All rows of an ODS change table, in few large files."""
    CURRENT = "current"
    """One row per key of an ODS table: what is true now."""
    EVENTS = "events"
    """All rows of a Kafka table, in few large files."""


class Lane(StrEnum):
    """Which run brings a product up to date, so that a costly merge keeps no cheap one waiting."""

    SMALL = "small"
    LARGE = "large"
    """Its last merge took long, or it is to be built from many rows."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product."""

    kind: ProductKind
    source: Table
    """The table whose loads it is made of."""

    @property
    def name(self) -> str:
        """Name in the warehouse and in the catalog.

        >>> from cubic_ingestion.domain.table import StreamName
        >>> change_table = Table("a__ct", StreamName.ODS, "cubic/ods_qlik/A__ct/", base="a", is_raw=True)
        >>> Product(ProductKind.CHANGES, change_table).name
        'raw_a__changes'
        """
        return f"{self.source.catalog_name.removesuffix('__ct')}__{self.kind}"


def products_of(tables: Iterable[Table]) -> dict[str, Product]:
    """Return the products of some tables, by the name of the table that each is made of.

    The stream decides. A DMAP table receives one file per day, so it needs no product. ``__current`` is listed under
    the base table, and ``__changes``, which it is made of as well, under the change table.
    """
    kinds = [(table, kind_of(table)) for table in tables]
    with_changes = {table.base for table, kind in kinds if kind is ProductKind.CHANGES}
    return {
        table.name: Product(kind, table)
        for table, kind in kinds
        if kind and (kind is not ProductKind.CURRENT or table.name in with_changes)
    }


def kind_of(table: Table) -> ProductKind | None:
    """Return what product is made of a table's loads; None if none is."""
    if table.stream is StreamName.KAFKA:
        kind = ProductKind.EVENTS
    elif table.stream is StreamName.ODS:
        kind = ProductKind.CHANGES if table.base else ProductKind.CURRENT
    else:
        return None
    return kind if table.products is None or kind in table.products else None
