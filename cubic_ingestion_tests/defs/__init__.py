"""Tests of ``cubic_ingestion.defs``."""
