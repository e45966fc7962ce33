"""What the columns of a schema are for: which are the primary key, and which describe a change.

Schemas on record stay as they are, and say nothing of a key: the next files bring schemas that do. A downgrade parks
the roles, and the next upgrade takes them back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ROLES = ("primary_key", "header_columns")


def upgrade() -> None:
    """Add empty columns, and take back what a downgrade parked."""
    for column in ROLES:
        op.add_column("cubic_table_schemas", sa.Column(column, sa.String()))
    if sa.inspect(op.get_bind()).has_table("cubic_parked_column_roles"):
        op.execute(
            """UPDATE cubic_table_schemas SET (primary_key, header_columns) = (
                SELECT p.primary_key, p.header_columns FROM cubic_parked_column_roles p
                WHERE p.schema_id = cubic_table_schemas.id)"""
        )
        op.drop_table("cubic_parked_column_roles")


def downgrade() -> None:
    """Park the roles, and drop the columns."""
    op.execute(
        """CREATE TABLE cubic_parked_column_roles AS
            SELECT id AS schema_id, primary_key, header_columns FROM cubic_table_schemas
            WHERE primary_key IS NOT NULL"""
    )
    for column in ROLES:
        op.drop_column("cubic_table_schemas", column)
