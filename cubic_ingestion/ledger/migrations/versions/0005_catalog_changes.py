"""What the catalog does not know yet, noted by place, so that it can be told off the way of the loads.

Before, moving originals to Archive told the catalog. So what waits for that, and what the catalog refused, is noted.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table of changes, and note what the layout before would still have told the catalog."""
    op.create_table(
        "cubic_catalog_changes",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column(
            "table_id",
            BIG_ID,
            sa.ForeignKey("cubic_tables.id", name="fk_cubic_catalog_changes_table_id"),
            nullable=False,
        ),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("inserted_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cubic_catalog_changes_table_id", "cubic_catalog_changes", ["table_id", "id"])
    op.add_column("cubic_tables", sa.Column("catalog_claimed_by", sa.String()))
    op.add_column(
        "cubic_tables", sa.Column("catalog_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("cubic_tables", sa.Column("catalog_error", sa.String()))
    op.execute(
        """INSERT INTO cubic_catalog_changes (table_id, location, inserted_at)
            SELECT l.table_id, l.location, l.updated_at
            FROM cubic_loads l JOIN cubic_tables t ON t.id = l.table_id
            WHERE l.location IS NOT NULL
                AND (l.status IN ('ready_for_archiving', 'archiving')
                    OR (l.status = 'archived' AND t.catalog_due_at IS NOT NULL))
            ORDER BY l.id"""
    )
    op.execute("UPDATE cubic_tables SET catalog_due_at = NULL")


def downgrade() -> None:
    """Have the layout before tell the catalog of each table with changes, and drop them."""
    tables = sa.table("cubic_tables", sa.column("id"), sa.column("catalog_due_at", MOMENT))
    changes = sa.table("cubic_catalog_changes", sa.column("table_id"))
    is_changed = tables.c.id.in_(sa.select(changes.c.table_id))
    now = datetime.now(UTC)
    op.execute(tables.update().values(catalog_due_at=None))
    op.execute(tables.update().where(is_changed).values(catalog_due_at=sa.bindparam("now", now, type_=MOMENT)))
    for column in ("catalog_error", "catalog_attempts", "catalog_claimed_by"):
        op.drop_column("cubic_tables", column)
    op.drop_index("ix_cubic_catalog_changes_table_id", "cubic_catalog_changes")
    op.drop_table("cubic_catalog_changes")
