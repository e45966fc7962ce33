"""Products: how far each is, which loads it holds, and what an open merge is about to exchange.

A downgrade forgets them. What is in the warehouse then belongs to nothing on record: products are built anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "cubic_products",
        sa.Column(
            "table_id",
            BIG_ID,
            sa.ForeignKey("cubic_tables.id", name="fk_cubic_products_table_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("merge", BIG_ID, nullable=False),
        sa.Column("intended", BIG_ID, server_default=sa.text("0"), nullable=False),
        sa.Column("snapshot_id", BIG_ID),
        sa.Column("merged_at", MOMENT),
        sa.Column("merge_seconds", sa.Float()),
        *(
            sa.Column(name, BIG_ID, server_default=sa.text("0"), nullable=False)
            for name in ("n_loads", "n_rows", "n_files", "n_bytes")
        ),
        sqlite_with_rowid=False,
    )
    for name, is_nullable in (("loads", False), ("intents", True)):
        op.create_table(
            f"cubic_product_{name}",
            sa.Column("table_id", BIG_ID, primary_key=True, autoincrement=False),
            sa.Column("load_id", BIG_ID, primary_key=True, autoincrement=False),
            *([sa.Column("merge", BIG_ID, nullable=False)] if name == "intents" else []),
            sa.Column("etag", sa.String(), nullable=is_nullable),
            sa.Column("n_rows", BIG_ID, nullable=False),
            sa.Column("place", sa.String(), nullable=False),
            sqlite_with_rowid=False,
        )


def downgrade() -> None:
    """Drop the tables, and what is on its way to products."""
    op.execute("DELETE FROM cubic_deliveries WHERE consumer = 'products'")
    op.execute("DELETE FROM cubic_consumers WHERE consumer = 'products'")
    for name in ("cubic_product_intents", "cubic_product_loads", "cubic_products"):
        op.drop_table(name)
