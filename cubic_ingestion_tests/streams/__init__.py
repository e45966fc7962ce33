"""Tests of ``cubic_ingestion.streams``."""
