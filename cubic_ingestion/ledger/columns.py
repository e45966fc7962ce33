"""Column types that behave the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer
from sqlalchemy.types import TypeDecorator, TypeEngine

BIG_ID: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite gives ids by itself only to a column that is declared INTEGER."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware and UTC in Python, ``timestamptz`` on PostgreSQL, sortable UTC text on SQLite; microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Convert to UTC on the way in.

        Raises:
            ValueError: The value has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            problem = f"{value.isoformat()} has no time zone; moments in the ledger are UTC"
            raise ValueError(problem)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Say that it is UTC on the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
