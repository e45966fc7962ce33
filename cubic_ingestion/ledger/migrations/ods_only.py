"""The tables of revision 0001, which 0002 has to make again on the way back."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def create_ods_only_tables() -> None:
    """Create ``cubic_ods_tables`` and ``cubic_ods_loads``."""
    op.create_table(
        "cubic_ods_tables",
        sa.Column("id", _BIG_ID, primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("s3_prefix", sa.String(), nullable=False),
        sa.Column("snapshot", sa.DateTime()),
        sa.Column("snapshot_s3_key", sa.String()),
        *_timestamps(),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_ods_tables_name", "cubic_ods_tables", ["name"], unique=True)
    op.create_index("uq_cubic_ods_tables_s3_prefix", "cubic_ods_tables", ["s3_prefix"], unique=True)
    op.create_table(
        "cubic_ods_loads",
        sa.Column("id", _BIG_ID, primary_key=True),
        sa.Column("table_id", _BIG_ID, sa.ForeignKey("cubic_ods_tables.id"), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("s3_key", sa.String(), nullable=False),
        sa.Column("s3_modified", sa.DateTime(), nullable=False),
        sa.Column("s3_size", sa.BigInteger(), nullable=False),
        sa.Column("snapshot", sa.DateTime()),
        *_timestamps(),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cubic_ods_loads_table_id", "cubic_ods_loads", ["table_id"])


def _timestamps() -> list[sa.Column[datetime]]:
    """UTC, though the type does not say so."""
    now = sa.text("CURRENT_TIMESTAMP")
    return [
        sa.Column("deleted_at", sa.DateTime()),
        sa.Column("inserted_at", sa.DateTime(), nullable=False, server_default=now),
        sa.Column("updated_at", sa.DateTime(), nullable=False, server_default=now),
    ]
