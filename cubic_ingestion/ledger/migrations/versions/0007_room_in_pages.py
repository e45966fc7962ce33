"""New loads lie together, and not in the gaps of pages that were packed; loads that are there stay where they are.

A load is short when it is registered, and grows while it is worked on. Where many loads were brought over at once, from
the older layout or a backup, PostgreSQL puts new ones into the gaps between them, each into another page, and every
step of a load's life finds that page again. A page that keeps room for what grows in it takes new ones in numbers only.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

FILLED_PERCENT = 90


def upgrade() -> None:
    """Set it for pages to come; reading and writing go on meanwhile."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE cubic_loads SET (fillfactor = {FILLED_PERCENT})")


def downgrade() -> None:
    """Fill pages to the brim again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE cubic_loads RESET (fillfactor)")
