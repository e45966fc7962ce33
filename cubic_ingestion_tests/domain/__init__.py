"""Tests of ``cubic_ingestion.domain``."""
