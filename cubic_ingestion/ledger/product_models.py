"""The tables of products: how far each is, which loads it holds, and what its open merge is about to exchange.

Names and columns are contract: people query them.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cubic_ingestion.ledger.columns import BIG_ID
from cubic_ingestion.ledger.models import Base


class CubicProduct(Base):
    """A product, as of its last finished merge."""

    __tablename__ = "cubic_products"
    __table_args__ = ({"sqlite_with_rowid": False},)

    table_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey("cubic_tables.id", name="fk_cubic_products_table_id"), primary_key=True, autoincrement=False
    )
    """The table whose loads it is made of."""
    name: Mapped[str]
    """What the warehouse and the catalog call it."""
    merge: Mapped[int] = mapped_column(BIG_ID)
    """Number of the last merge that is finished; a commit in the warehouse carries the number of its merge."""
    intended: Mapped[int] = mapped_column(BIG_ID, server_default=text("0"))
    """Number of the last merge that was begun. None is given twice: a forgotten merge may be committed late."""
    snapshot_id: Mapped[int | None] = mapped_column(BIG_ID)
    """The warehouse's snapshot that the catalog shows."""
    merged_at: Mapped[datetime | None]
    """When the last merge ended."""
    merge_seconds: Mapped[float | None]
    """How long it took; builds do not count."""
    generation: Mapped[str | None]
    """``__current``: the snapshot of its table that it shows."""
    chosen_over: Mapped[str | None]
    """The newest snapshot there was when a person chose ``generation``; only newer ones replace that by themselves."""
    settles_at: Mapped[datetime | None]
    """When a newer snapshot is complete, because no file of it has come for so long; None if none waits for that."""
    n_loads: Mapped[int] = mapped_column(BIG_ID, server_default=text("0"))
    """Loads whose rows it holds."""
    n_rows: Mapped[int] = mapped_column(BIG_ID, server_default=text("0"))
    n_files: Mapped[int] = mapped_column(BIG_ID, server_default=text("0"))
    n_bytes: Mapped[int] = mapped_column(BIG_ID, server_default=text("0"))


class CubicProductLoad(Base):
    """A load whose rows a product holds."""

    __tablename__ = "cubic_product_loads"
    __table_args__ = (
        Index(
            "ix_cubic_product_loads_refused",
            *("table_id", "load_id"),
            sqlite_where=text("refused IS NOT NULL"),
            postgresql_where=text("refused IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    table_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    load_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    etag: Mapped[str]
    """Version of the load's Parquet file in Springboard that the rows are of."""
    n_rows: Mapped[int] = mapped_column(BIG_ID)
    place: Mapped[str]
    """JSON: the values of the product's partition that the rows are in; of ``__current``, the snapshot."""
    refused: Mapped[str | None]
    """``__current``: why the changes of this load are not applied; None if they are."""


class CubicProductIntent(Base):
    """What an open merge takes out of a product, or puts in; if its commit is there, it holds."""

    __tablename__ = "cubic_product_intents"
    __table_args__ = ({"sqlite_with_rowid": False},)

    table_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    load_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    merge: Mapped[int] = mapped_column(BIG_ID)
    etag: Mapped[str | None]
    """NULL if the load's rows are taken out."""
    n_rows: Mapped[int] = mapped_column(BIG_ID)
    place: Mapped[str]
    refused: Mapped[str | None]
