"""What the DMAP fetcher keeps of feeds and data sets: who fetches, what is missing, which object was written."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)
FEED_COLUMNS = ("fetched_at", "leased_by", "lease_expires_at", "n_problems", "problem")
DATASET_COLUMNS = ("s3_key", "s3_etag")


def upgrade() -> None:
    """Add the columns; both tables keep their rows."""
    op.add_column("cubic_dmap_feeds", sa.Column("fetched_at", MOMENT))
    op.add_column("cubic_dmap_feeds", sa.Column("leased_by", sa.String()))
    op.add_column("cubic_dmap_feeds", sa.Column("lease_expires_at", MOMENT))
    op.add_column(
        "cubic_dmap_feeds", sa.Column("n_problems", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("cubic_dmap_feeds", sa.Column("problem", sa.String()))
    for column in DATASET_COLUMNS:
        op.add_column("cubic_dmap_datasets", sa.Column(column, sa.String()))


def downgrade() -> None:
    """Drop them; the layout before has no fetcher."""
    for column in FEED_COLUMNS:
        op.drop_column("cubic_dmap_feeds", column)
    for column in DATASET_COLUMNS:
        op.drop_column("cubic_dmap_datasets", column)
