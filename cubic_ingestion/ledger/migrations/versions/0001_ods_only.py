"""The layout before there was anything but ODS."""

import sqlalchemy as sa
from alembic import op

from cubic_ingestion.ledger.migrations.ods_only import create_ods_only_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the old tables, unless this is a deployment that has them from before Alembic."""
    if not sa.inspect(op.get_bind()).has_table("cubic_ods_tables"):
        create_ods_only_tables()


def downgrade() -> None:
    """Drop the old tables, and what a downgrade from 0002 has parked beside them."""
    parked = [name for name in sa.inspect(op.get_bind()).get_table_names() if name.startswith("cubic_parked_")]
    # Snapshots and data sets refer to loads, tables and feeds, so those that are referred to go last.
    for name in sorted(parked, key=lambda name: ("_snapshots" not in name and "_datasets" not in name, name)):
        op.drop_table(name)
    op.drop_table("cubic_ods_loads")
    op.drop_table("cubic_ods_tables")
