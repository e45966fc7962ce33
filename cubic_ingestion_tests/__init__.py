"""Tests of ``cubic_ingestion``; the tree mirrors the package."""
