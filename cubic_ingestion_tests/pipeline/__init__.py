"""Tests of ``cubic_ingestion.pipeline``."""
