"""Tests of the fetchers' adapters."""
