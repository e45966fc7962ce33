"""Fixtures of the pipeline."""

from cubic_ingestion_tests.duckdb_files import duckdb_instance, duckdb_is_there_already

__all__ = ["duckdb_instance", "duckdb_is_there_already"]
