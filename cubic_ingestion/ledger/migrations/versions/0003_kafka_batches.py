"""Leases and open batches of the Kafka batcher.

Only new tables. Records of open batches lie before the checkpoint and would not be read again, so the downgrade parks
the tables, as that of 0002 does, and the next upgrade takes them back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
NAMES = ("kafka_shards", "kafka_batches", "kafka_batch_parts")


def upgrade() -> None:
    """Create the tables, or take them back."""
    if sa.inspect(op.get_bind()).has_table("cubic_parked_kafka_batches"):
        for name in NAMES:
            op.rename_table(f"cubic_parked_{name}", f"cubic_{name}")
        return
    _create_shards()
    _create_batches()
    _create_parts()


def downgrade() -> None:
    """Park the tables."""
    for name in NAMES:
        op.rename_table(f"cubic_{name}", f"cubic_parked_{name}")


def _create_shards() -> None:
    op.create_table(
        "cubic_kafka_shards",
        sa.Column("stream", sa.String(), primary_key=True),
        sa.Column("shard", sa.String(), primary_key=True),
        sa.Column("leased_by", sa.String()),
        sa.Column("lease_expires_at", MOMENT),
        sa.Column("wanted_by", sa.String()),
        sa.Column("arrived_at", MOMENT),
        sa.Column("behind_milliseconds", BIG_ID, nullable=False),
        sa.Column("read_at", MOMENT),
        sa.Column("ended_at", MOMENT),
    )


def _create_batches() -> None:
    op.create_table(
        "cubic_kafka_batches",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("shard", sa.String(), nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("first_sequence_number", sa.String(), nullable=False),
        sa.Column("last_sequence_number", sa.String(), nullable=False),
        sa.Column("n_records", BIG_ID, nullable=False),
        sa.Column("n_bytes", BIG_ID, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("cut_at", MOMENT),
        sa.Column("written_at", MOMENT),
        sa.Column("s3_key", sa.String()),
        sqlite_autoincrement=True,
    )
    identity = ["stream", "shard", "table_name", "first_sequence_number"]
    op.create_index("uq_cubic_kafka_batches_first", "cubic_kafka_batches", identity, unique=True)
    op.create_index("ix_cubic_kafka_batches_s3_key", "cubic_kafka_batches", ["s3_key"])
    unwritten = sa.text("written_at IS NULL")
    op.create_index(
        "ix_cubic_kafka_batches_unwritten",
        "cubic_kafka_batches",
        ["stream", "shard"],
        sqlite_where=unwritten,
        postgresql_where=unwritten,
    )


def _create_parts() -> None:
    reference = sa.ForeignKey("cubic_kafka_batches.id", name="fk_cubic_kafka_batch_parts_batch_id")
    op.create_table(
        "cubic_kafka_batch_parts",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("batch_id", BIG_ID, reference, nullable=False),
        sa.Column("s3_key", sa.String(), nullable=False),
        sa.Column("last_sequence_number", sa.String(), nullable=False),
        sa.Column("n_records", BIG_ID, nullable=False),
        sa.Column("n_bytes", BIG_ID, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cubic_kafka_batch_parts_batch_id", "cubic_kafka_batch_parts", ["batch_id"])
    op.create_index("uq_cubic_kafka_batch_parts_s3_key", "cubic_kafka_batch_parts", ["s3_key"], unique=True)
