"""Run migrations on the connection that ``upgrade`` hands over, inside its transaction."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
# Both databases can undo a change of schema, so a migration that is killed leaves nothing half done.
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
