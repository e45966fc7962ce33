"""Run migrations on the connection that ``upgrade`` hands over.

On SQLite inside its one transaction; on PostgreSQL each in its own, so that one may build an index outside of any.
"""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
# Both databases can undo a change of schema, so a migration that is killed leaves nothing half done.
context.configure(
    connection=connection,
    transactional_ddl=True,
    transaction_per_migration=connection.dialect.name == "postgresql",
)
with context.begin_transaction():
    context.run_migrations()
