"""Indexes on tables that are large and in use: PostgreSQL builds them beside the work that goes on."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def create_index(name: str, table: str, columns: Sequence[str], where: str) -> None:
    """Build a partial index without keeping anybody from writing; one that a killed try left half built is replaced."""
    condition = sa.text(where)
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(name, table, columns, sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        _wait_as_long_as_it_takes()
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_where=condition, postgresql_concurrently=True)


def drop_index(name: str, table: str) -> None:
    """Drop an index without waiting for a moment in which nobody uses its table."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(name, table)
        return
    with op.get_context().autocommit_block():
        _wait_as_long_as_it_takes()
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)


def _wait_as_long_as_it_takes() -> None:
    """Lift timeouts that a role may have: nobody waits for who builds concurrently, and the connection is not kept."""
    op.execute("SET statement_timeout = 0")
    op.execute("SET lock_timeout = 0")
