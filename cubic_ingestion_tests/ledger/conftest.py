"""Fixtures of the ledger's tests."""

from cubic_ingestion_tests.databases import database_url, empty_database_url, engine, postgres_url

__all__ = ["database_url", "empty_database_url", "engine", "postgres_url"]
