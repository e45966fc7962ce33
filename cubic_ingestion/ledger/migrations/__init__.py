"""Alembic's environment. Migrations hold schema and the moves of data it needs, never declarations of tables."""
