"""What the watchers need: scans of Incoming, acknowledged rejections, and partitions that Dagster has yet to show.

An upgrade queues every partition with rows: earlier releases could lose a materialisation when they were killed.
A downgrade drops all of it: the scans and the queue are made again, acknowledgements are lost.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from cubic_ingestion.ledger.migrations.live_indexes import create_index, drop_index

revision = "0008"
down_revision = "0007"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
EXPLAINED = "ix_cubic_loads_explained"
LOAD_COLUMNS = ("acknowledged_at", "acknowledged_by", "acknowledged_reason")
LEASE_COLUMNS = ("dagster_due_at", "dagster_claimed_by", "dagster_attempts", "dagster_error")


def upgrade() -> None:
    """Add columns and tables, and queue the partitions that have rows in Springboard."""
    op.add_column("cubic_loads", sa.Column("acknowledged_at", MOMENT))
    op.add_column("cubic_loads", sa.Column("acknowledged_by", sa.String()))
    op.add_column("cubic_loads", sa.Column("acknowledged_reason", sa.String()))
    op.add_column("cubic_tables", sa.Column("dagster_due_at", MOMENT))
    op.add_column("cubic_tables", sa.Column("dagster_claimed_by", sa.String()))
    op.add_column(
        "cubic_tables", sa.Column("dagster_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("cubic_tables", sa.Column("dagster_error", sa.String()))
    _create_scans()
    _create_changes()
    create_index(EXPLAINED, "cubic_loads", ["table_id"], "error_code IS NOT NULL")
    seed = sa.text(
        """INSERT INTO cubic_dagster_changes (table_id, partition_key, is_seed, inserted_at)
            SELECT DISTINCT table_id, partition_key, true, :now
            FROM cubic_loads
            WHERE location IS NOT NULL AND partition_key IS NOT NULL
            ORDER BY table_id, partition_key"""
    )
    op.execute(seed.bindparams(sa.bindparam("now", datetime.now(UTC), type_=MOMENT)))


def downgrade() -> None:
    """Drop them."""
    drop_index(EXPLAINED, "cubic_loads")
    op.drop_index("ix_cubic_dagster_changes_table_id", "cubic_dagster_changes")
    op.drop_table("cubic_dagster_changes")
    op.drop_table("cubic_scans")
    for column in LEASE_COLUMNS:
        op.drop_column("cubic_tables", column)
    for column in LOAD_COLUMNS:
        op.drop_column("cubic_loads", column)


def _create_scans() -> None:
    op.create_table(
        "cubic_scans",
        sa.Column("prefix", sa.String(), primary_key=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("active_at", MOMENT, nullable=False),
        sa.Column("listed_at", MOMENT),
        sa.Column("n_objects", BIG_ID, nullable=False),
        sa.Column("n_unsettled", BIG_ID, nullable=False),
        sa.Column("n_unknown", BIG_ID, nullable=False),
        sa.Column("unknown", sa.String()),
        sa.Column("resume_after", sa.String()),
        sa.Column("so_far", sa.String()),
        sa.Column("problem", sa.String()),
    )


def _create_changes() -> None:
    op.create_table(
        "cubic_dagster_changes",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column(
            "table_id",
            BIG_ID,
            sa.ForeignKey("cubic_tables.id", name="fk_cubic_dagster_changes_table_id"),
            nullable=False,
        ),
        sa.Column("partition_key", sa.String(), nullable=False),
        sa.Column("is_seed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("inserted_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cubic_dagster_changes_table_id", "cubic_dagster_changes", ["table_id", "id"])
