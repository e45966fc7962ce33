"""Tests of ``cubic_ingestion.cli``."""
