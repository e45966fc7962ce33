"""Room for all streams: the ODS tables renamed, their snapshots in tables of their own, and what the guarantees need.

The downgrade parks this layout's tables whole, under other names, beside the old ones that it fills from them; the
next upgrade takes them back, and brings over what the old layout has seen since. So both ways keep every row, and a
first upgrade is the same with nothing parked.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

from cubic_ingestion.ledger.migrations import moving_rows
from cubic_ingestion.ledger.migrations.ods_only import create_ods_only_tables

revision = "0002"
down_revision = "0001"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
STATUSES = (
    *("ready", "ingesting", "ready_for_archiving", "archiving", "archived"),
    *("ready_for_erroring", "erroring", "errored"),
)
NAMES = (
    *("tables", "table_schemas", "loads", "table_ods_snapshots", "load_ods_snapshots"),
    *("dmap_feeds", "dmap_datasets", "kafka_checkpoints"),
)


def upgrade() -> None:
    """Create or take back this layout, bring over the old one's rows, and drop the old one."""
    if sa.inspect(op.get_bind()).has_table("cubic_parked_loads"):
        for name in NAMES:
            op.rename_table(f"cubic_parked_{name}", f"cubic_{name}")
    else:
        _create_tables_and_loads()
        _create_snapshots()
        _create_fetchers_tables()
    moving_rows.to_all_streams(op.get_bind())
    op.drop_table("cubic_ods_loads")
    op.drop_table("cubic_ods_tables")


def downgrade() -> None:
    """Create the old layout, fill it with what it can hold, and park this one."""
    create_ods_only_tables()
    moving_rows.to_ods_only(op.get_bind())
    for name in NAMES:
        op.rename_table(f"cubic_{name}", f"cubic_parked_{name}")


def _create_tables_and_loads() -> None:
    op.create_table(
        "cubic_tables",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("s3_prefix", sa.String(), nullable=False),
        sa.Column("is_raw", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("catalog_due_at", MOMENT),
        *_timestamps(),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_tables_name", "cubic_tables", ["name"], unique=True)
    op.create_index("uq_cubic_tables_s3_prefix", "cubic_tables", ["s3_prefix"], unique=True)
    op.create_table(
        "cubic_table_schemas",
        sa.Column("id", BIG_ID, primary_key=True),
        _reference("table_id", "cubic_tables", "fk_cubic_table_schemas_table_id"),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("columns", sa.String(), nullable=False),
        sa.Column("inserted_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_cubic_table_schemas_fingerprint", "cubic_table_schemas", ["table_id", "fingerprint"], unique=True
    )
    op.create_table(
        "cubic_loads",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("table_id", BIG_ID, sa.ForeignKey("cubic_tables.id", name="fk_cubic_loads_table_id"), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("s3_key", sa.String(), nullable=False),
        sa.Column("s3_etag", sa.String(), nullable=False),
        sa.Column("s3_modified", MOMENT, nullable=False),
        sa.Column("s3_size", BIG_ID, nullable=False),
        sa.Column("is_raw", sa.Boolean(), nullable=False),
        sa.Column("source_at", MOMENT),
        sa.Column("partition_key", sa.String()),
        sa.Column("waits_for", sa.String()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", MOMENT),
        sa.Column("claimed_by", sa.String()),
        sa.Column("claim_expires_at", MOMENT),
        sa.Column("location", sa.String()),
        sa.Column("archive_key", sa.String()),
        sa.Column("error_key", sa.String()),
        sa.Column("n_rows", BIG_ID),
        sa.Column("n_bytes", BIG_ID),
        sa.Column("n_quarantined", BIG_ID),
        sa.Column("schema_id", BIG_ID, sa.ForeignKey("cubic_table_schemas.id", name="fk_cubic_loads_schema_id")),
        sa.Column("is_replay_due", sa.Boolean(), nullable=False),
        sa.Column("error_code", sa.String()),
        sa.Column("error_message", sa.String()),
        sa.Column("error_row", BIG_ID),
        sa.Column("error_column", sa.String()),
        sa.Column("error_cells", sa.String()),
        sa.Column("retried_at", MOMENT),
        sa.Column("sidecar_etag", sa.String()),
        *_timestamps(),
        sa.CheckConstraint(f"status IN ({', '.join(map(repr, STATUSES))})", "ck_cubic_loads_status"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_loads_version", "cubic_loads", ["s3_key", "s3_etag", "s3_modified"], unique=True)
    op.create_index("ix_cubic_loads_work", "cubic_loads", ["table_id", "status", "partition_key"])
    op.create_index("ix_cubic_loads_source_at", "cubic_loads", ["table_id", "source_at", "id"])
    op.create_index(
        "ix_cubic_loads_replay_due",
        "cubic_loads",
        ["table_id", "status", "partition_key"],
        sqlite_where=sa.text("is_replay_due = 1"),
        postgresql_where=sa.text("is_replay_due"),
    )
    quarantined = sa.text("n_quarantined > 0")
    op.create_index(
        "ix_cubic_loads_quarantined",
        "cubic_loads",
        ["table_id"],
        sqlite_where=quarantined,
        postgresql_where=quarantined,
    )
    for column in ("claimed_by", "location", "archive_key", "error_key"):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_cubic_loads_{column}", "cubic_loads", [column], sqlite_where=where, postgresql_where=where)


def _create_snapshots() -> None:
    op.create_table(
        "cubic_table_ods_snapshots",
        sa.Column("id", BIG_ID, primary_key=True),
        _reference("table_id", "cubic_tables", "fk_cubic_table_ods_snapshots_table_id"),
        sa.Column("snapshot", MOMENT),
        sa.Column("snapshot_s3_key", sa.String()),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_table_ods_snapshots", "cubic_table_ods_snapshots", ["table_id", "snapshot"], unique=True)
    op.create_table(
        "cubic_load_ods_snapshots",
        sa.Column("id", BIG_ID, primary_key=True),
        _reference("load_id", "cubic_loads", "fk_cubic_load_ods_snapshots_load_id"),
        sa.Column("snapshot", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_load_ods_snapshots_load_id", "cubic_load_ods_snapshots", ["load_id"], unique=True)


def _create_fetchers_tables() -> None:
    op.create_table(
        "cubic_dmap_feeds",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("relative_url", sa.String(), nullable=False),
        sa.Column("last_updated_at", MOMENT),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_dmap_feeds_relative_url", "cubic_dmap_feeds", ["relative_url"], unique=True)
    op.create_table(
        "cubic_dmap_datasets",
        sa.Column("id", BIG_ID, primary_key=True),
        _reference("feed_id", "cubic_dmap_feeds", "fk_cubic_dmap_datasets_feed_id"),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("identifier", sa.String(), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.Column("last_updated_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_cubic_dmap_datasets_identifier", "cubic_dmap_datasets", ["feed_id", "identifier"], unique=True)
    op.create_table(
        "cubic_kafka_checkpoints",
        sa.Column("stream", sa.String(), primary_key=True),
        sa.Column("shard", sa.String(), primary_key=True),
        sa.Column("sequence_number", sa.String(), nullable=False),
    )


def _timestamps() -> list[sa.Column[datetime]]:
    return [
        sa.Column("deleted_at", MOMENT),
        sa.Column("inserted_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
    ]


def _reference(column: str, table: str, name: str) -> sa.Column[int]:
    return sa.Column(column, BIG_ID, sa.ForeignKey(f"{table}.id", name=name), nullable=False)
