"""Counting millions of loads reads an index instead of the table; nobody waits while it is built."""

from alembic import op

from cubic_ingestion.ledger.migrations.live_indexes import create_index, drop_index

revision = "0004"
down_revision = "0003"

COUNTED = ("table_id", "status", "n_rows", "n_quarantined", "inserted_at", "updated_at")
STANDING, OTHERS = "ix_cubic_loads_standing", "ix_cubic_loads_without_rows"


def upgrade() -> None:
    """Build the indexes, and have PostgreSQL keep up with what changes: an index alone answers only for clean pages."""
    create_index(STANDING, "cubic_loads", COUNTED, "location IS NOT NULL")
    create_index(OTHERS, "cubic_loads", COUNTED, "location IS NULL")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE cubic_loads SET (autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)"
        )


def downgrade() -> None:
    """Drop them."""
    drop_index(STANDING, "cubic_loads")
    drop_index(OTHERS, "cubic_loads")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE cubic_loads RESET (autovacuum_vacuum_scale_factor, "
            "autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor)"
        )
