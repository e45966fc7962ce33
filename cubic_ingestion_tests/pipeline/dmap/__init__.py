"""Tests of the DMAP fetcher."""
