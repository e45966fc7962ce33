"""The tables of the change feed, and the steps of loads. Names and columns are contract: people query them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from cubic_ingestion.ledger.columns import BIG_ID
from cubic_ingestion.ledger.models import Base


class CubicLoadStep(Base):
    """A step that a load has taken; when it was registered says the load itself."""

    __tablename__ = "cubic_load_steps"
    __table_args__ = ({"sqlite_with_rowid": False},)

    load_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str | None]
    """The Dagster run; NULL for what no run did."""


class CubicChange(Base):
    """A change of what is in Springboard, or of a load; recorded in the transaction that makes it.

    No foreign keys here, in deliveries and in steps: PostgreSQL would check each row, a twentieth of a load's cost, and
    they are written from the rows that they refer to.
    """

    __tablename__ = "cubic_changes"
    __table_args__ = (Index("ix_cubic_changes_load_id", "load_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    table_id: Mapped[int] = mapped_column(BIG_ID)
    load_id: Mapped[int | None] = mapped_column(BIG_ID)
    """NULL for a change that concerns the table as a whole."""
    kind: Mapped[str]
    """``published``, ``replaced``, ``withdrawn``; or ``marked`` if nothing in Springboard is different."""
    partition_key: Mapped[str]
    """Empty if it concerns no partition."""
    location: Mapped[str | None]
    inserted_at: Mapped[datetime]


class CubicDelivery(Base):
    """A change that a consumer has not processed yet; deleted when it has."""

    __tablename__ = "cubic_deliveries"
    __table_args__ = ({"sqlite_with_rowid": False},)

    consumer: Mapped[str] = mapped_column(primary_key=True)
    table_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    change_id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    is_seed: Mapped[bool] = mapped_column(server_default=false())
    """Made when the consumer began to follow the table, not by the change."""
    times: Mapped[int] = mapped_column(server_default=text("1"))
    """How often it was made. Made again while it is processed, it is to be processed once more."""


class CubicConsumer(Base):
    """How a consumer of changes stands with a table: who holds its deliveries, or when they are tried again."""

    __tablename__ = "cubic_consumers"
    __table_args__ = ({"sqlite_with_rowid": False},)

    consumer: Mapped[str] = mapped_column(primary_key=True)
    table_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey("cubic_tables.id", name="fk_cubic_consumers_table_id"), primary_key=True
    )
    claimed_by: Mapped[str | None]
    """Who processes its deliveries."""
    due_at: Mapped[datetime | None]
    """The end of a lease, or of the pause after a failure."""
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """How many tries in a row have failed."""
    error: Mapped[str | None]
    """Why the last of them failed."""
