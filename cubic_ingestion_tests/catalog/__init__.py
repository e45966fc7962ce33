"""Tests of what is a catalog's own, beyond the contract of its port."""
