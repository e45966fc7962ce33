"""Upserts: ``INSERT … ON CONFLICT``, which SQLite and PostgreSQL spell alike and SQLAlchemy has a class for each."""

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from cubic_ingestion.ledger.models import Base

Upsert = postgresql.Insert | sqlite.Insert


def upsert(connection: Connection, model: type[Base]) -> Upsert:
    """Begin an ``INSERT`` into a table that may say what is done on a conflict."""
    return postgresql.insert(model) if connection.dialect.name == "postgresql" else sqlite.insert(model)
