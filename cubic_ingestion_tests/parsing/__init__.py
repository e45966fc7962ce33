"""Tests of the way from bytes to typed Arrow data."""
