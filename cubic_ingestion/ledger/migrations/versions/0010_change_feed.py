"""The change feed with its deliveries and consumers in place of two outboxes, and the steps of loads.

What the catalog and Dagster have not processed yet moves over, both ways. A downgrade parks the feed and the steps, as
that of 0002 does, and the next upgrade takes them back. Consumers that the older layout does not know are forgotten:
they are seeded again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
PARKED = ("changes", "load_steps")
CONSUMERS = ("catalog", "dagster")
OPEN_CATALOG_CHANGES = """
INSERT INTO cubic_changes (table_id, load_id, kind, partition_key, location, inserted_at)
SELECT c.table_id, l.id, CASE WHEN l.id IS NULL THEN 'withdrawn' ELSE 'published' END, coalesce(l.partition_key, ''),
    c.location, c.inserted_at
FROM cubic_catalog_changes c
LEFT JOIN cubic_loads l ON l.id = (SELECT max(n.id) FROM cubic_loads n WHERE n.location = c.location)
LEFT JOIN cubic_changes f ON f.table_id = c.table_id AND f.location = c.location
WHERE f.id IS NULL
ORDER BY c.id"""
OPEN_DAGSTER_CHANGES = """
INSERT INTO cubic_changes (table_id, kind, partition_key, inserted_at)
SELECT c.table_id, 'marked', c.partition_key, c.inserted_at
FROM cubic_dagster_changes c
LEFT JOIN cubic_changes f ON f.table_id = c.table_id AND f.partition_key = c.partition_key
WHERE f.id IS NULL AND c.is_seed = :is_seed
ORDER BY c.id"""
DELIVERIES = """
INSERT INTO cubic_deliveries (consumer, table_id, change_id, is_seed)
SELECT :consumer, table_id, id, :is_seed FROM cubic_changes WHERE id > :after"""


def upgrade() -> None:
    """Make the tables, move what is open, and drop the outboxes."""
    parked = [name for name in PARKED if sa.inspect(op.get_bind()).has_table(f"cubic_parked_{name}")]
    for name in parked:
        op.rename_table(f"cubic_parked_{name}", f"cubic_{name}")
    if not parked:
        _create_changes()
        _create_steps()
    _create_deliveries()
    _create_consumers()
    if not _is_sqlite():
        # The application may be at work: what it writes after this point would be dropped with the outboxes.
        op.execute("LOCK TABLE cubic_catalog_changes, cubic_dagster_changes IN ACCESS EXCLUSIVE MODE")
    for consumer in CONSUMERS:
        op.execute(_STANDING.format(consumer=consumer))
    op.execute(_KNOWN.format(consumer="catalog", column="location", is_seed="false"))
    _move(OPEN_CATALOG_CHANGES, "catalog", is_seed=False)
    is_seed_only = "max(CASE WHEN c.is_seed THEN 0 ELSE 1 END) = 0"
    op.execute(_KNOWN.format(consumer="dagster", column="partition_key", is_seed=is_seed_only))
    for is_seed in (False, True):
        _move(OPEN_DAGSTER_CHANGES, "dagster", is_seed=is_seed)
    for consumer in CONSUMERS:
        op.drop_table(f"cubic_{consumer}_changes")
        for column in ("claimed_by", "due_at", "attempts", "error"):
            op.drop_column("cubic_tables", f"{consumer}_{column}")


def downgrade() -> None:
    """Make the outboxes, fill them with what is open, and park the feed and the steps."""
    if not _is_sqlite():
        # As on the way up: a delivery that is written after it was copied would be dropped.
        op.execute("LOCK TABLE cubic_deliveries, cubic_consumers, cubic_changes IN ACCESS EXCLUSIVE MODE")
    for consumer in CONSUMERS:
        _add_standing(consumer)
    _create_outbox("catalog", sa.Column("location", sa.String(), nullable=False))
    _create_outbox(
        "dagster",
        sa.Column("partition_key", sa.String(), nullable=False),
        sa.Column("is_seed", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(_OPEN.format(consumer="catalog", column="location", seed="", seeded=""))
    op.execute(_OPEN.format(consumer="dagster", column="partition_key", seed=", is_seed", seeded=", d.is_seed"))
    op.drop_table("cubic_deliveries")
    op.drop_table("cubic_consumers")
    for name in PARKED:
        op.rename_table(f"cubic_{name}", f"cubic_parked_{name}")


_STANDING = """
INSERT INTO cubic_consumers (consumer, table_id, due_at, attempts, error)
SELECT '{consumer}', id, CASE WHEN {consumer}_claimed_by IS NULL THEN {consumer}_due_at END, {consumer}_attempts,
    {consumer}_error
FROM cubic_tables t
WHERE EXISTS (SELECT 1 FROM cubic_loads l WHERE l.table_id = t.id AND l.location IS NOT NULL)"""
"""How a consumer stands with each table that has rows; whoever holds one at this moment loses it."""

_KNOWN = """
INSERT INTO cubic_deliveries (consumer, table_id, change_id, is_seed)
SELECT '{consumer}', c.table_id, max(f.id), {is_seed}
FROM cubic_{consumer}_changes c JOIN cubic_changes f ON f.table_id = c.table_id AND f.{column} = c.{column}
GROUP BY c.table_id, c.{column}"""
"""What is open of places that the feed names already, which was parked: their last change is delivered again."""

_OPEN = """
INSERT INTO cubic_{consumer}_changes (table_id, {column}, inserted_at{seed})
SELECT d.table_id, c.{column}, c.inserted_at{seeded}
FROM cubic_deliveries d JOIN cubic_changes c ON c.id = d.change_id
WHERE d.consumer = '{consumer}' AND c.{column} IS NOT NULL
ORDER BY c.id"""


def _move(changes: str, consumer: str, *, is_seed: bool) -> None:
    """Record changes of an outbox in the feed, and their deliveries."""
    connection = op.get_bind()
    newest = sa.text("SELECT coalesce(max(id), 0) FROM cubic_changes")
    after = connection.execute(newest).scalar_one()
    which = {"is_seed": is_seed} if ":is_seed" in changes else {}
    connection.execute(sa.text(changes), which)
    connection.execute(sa.text(DELIVERIES), {"consumer": consumer, "after": after, "is_seed": is_seed})


def _create_changes() -> None:
    op.create_table(
        "cubic_changes",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("table_id", BIG_ID, nullable=False),
        sa.Column("load_id", BIG_ID),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("partition_key", sa.String(), nullable=False),
        sa.Column("location", sa.String()),
        sa.Column("inserted_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cubic_changes_load_id", "cubic_changes", ["load_id", "id"])


def _create_steps() -> None:
    op.create_table(
        "cubic_load_steps",
        sa.Column("load_id", BIG_ID, primary_key=True, autoincrement=False),
        sa.Column("at", MOMENT, primary_key=True),
        sa.Column("step", sa.String(), primary_key=True),
        sa.Column("run_id", sa.String()),
        sqlite_with_rowid=False,
    )


def _create_deliveries() -> None:
    op.create_table(
        "cubic_deliveries",
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column("table_id", BIG_ID, primary_key=True, autoincrement=False),
        sa.Column("change_id", BIG_ID, primary_key=True, autoincrement=False),
        sa.Column("is_seed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sqlite_with_rowid=False,
    )


def _create_consumers() -> None:
    op.create_table(
        "cubic_consumers",
        sa.Column("consumer", sa.String(), primary_key=True),
        sa.Column(
            "table_id",
            BIG_ID,
            sa.ForeignKey("cubic_tables.id", name="fk_cubic_consumers_table_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("claimed_by", sa.String()),
        sa.Column("due_at", MOMENT),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.String()),
        sqlite_with_rowid=False,
    )


def _add_standing(consumer: str) -> None:
    """Give ``cubic_tables`` the columns that say how a consumer stands with each table."""
    op.add_column("cubic_tables", sa.Column(f"{consumer}_due_at", MOMENT))
    op.add_column("cubic_tables", sa.Column(f"{consumer}_claimed_by", sa.String()))
    attempts = sa.Column(f"{consumer}_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False)
    op.add_column("cubic_tables", attempts)
    op.add_column("cubic_tables", sa.Column(f"{consumer}_error", sa.String()))
    for column in ("due_at", "attempts", "error"):
        op.execute(
            f"""UPDATE cubic_tables SET {consumer}_{column} = (SELECT c.{column} FROM cubic_consumers c
                WHERE c.consumer = '{consumer}' AND c.table_id = cubic_tables.id)
            WHERE EXISTS (SELECT 1 FROM cubic_consumers c WHERE c.consumer = '{consumer}'
                AND c.table_id = cubic_tables.id AND c.claimed_by IS NULL)"""  # noqa: S608 - constants
        )


def _create_outbox(consumer: str, *columns: sa.Column[str] | sa.Column[bool]) -> None:
    name = f"cubic_{consumer}_changes"
    table_id = sa.ForeignKey("cubic_tables.id", name=f"fk_{name}_table_id")
    op.create_table(
        name,
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("table_id", BIG_ID, table_id, nullable=False),
        *columns,
        sa.Column("inserted_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(f"ix_{name}_table_id", name, ["table_id", "id"])


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
