"""Generations: which snapshot of its table a product shows, and which loads it holds without having applied them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_OF_PRODUCTS = (
    ("generation", sa.String()),
    ("chosen_over", sa.String()),
    ("settles_at", sa.DateTime(timezone=True)),
)
_REFUSED = "ix_cubic_product_loads_refused"


def upgrade() -> None:
    """Add the columns. Tables that had no product until now are seeded when somebody claims them."""
    for name, kind in _OF_PRODUCTS:
        op.add_column("cubic_products", sa.Column(name, kind))
    for table in ("cubic_product_loads", "cubic_product_intents"):
        op.add_column(table, sa.Column("refused", sa.String()))
    is_refused = sa.text("refused IS NOT NULL")
    op.create_index(
        _REFUSED,
        "cubic_product_loads",
        ["table_id", "load_id"],
        sqlite_where=is_refused,
        postgresql_where=is_refused,
    )


def downgrade() -> None:
    """Drop the columns, and forget the products of base tables, which older releases do not know."""
    tables = sa.table("cubic_tables", sa.column("id"), sa.column("s3_prefix"))
    prefix = tables.c.s3_prefix
    bases = sa.select(tables.c.id).where(
        prefix.startswith("cubic/ods_qlik/"), ~prefix.endswith("__ct/", autoescape=True)
    )
    for name in ("cubic_product_intents", "cubic_product_loads", "cubic_products"):
        table = sa.table(name, sa.column("table_id"))
        op.execute(sa.delete(table).where(table.c.table_id.in_(bases)))
    for name in ("cubic_deliveries", "cubic_consumers"):
        table = sa.table(name, sa.column("table_id"), sa.column("consumer"))
        op.execute(sa.delete(table).where(table.c.consumer == "products", table.c.table_id.in_(bases)))
    op.drop_index(_REFUSED, "cubic_product_loads")
    for table in ("cubic_product_loads", "cubic_product_intents"):
        op.drop_column(table, "refused")
    for name, _ in reversed(_OF_PRODUCTS):
        op.drop_column("cubic_products", name)
