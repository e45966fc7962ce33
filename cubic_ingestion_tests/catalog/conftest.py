"""Fixtures of the catalogs' own tests."""

from cubic_ingestion_tests.glue import database, glue, glue_url

__all__ = ["database", "glue", "glue_url"]
