"""Benchmarks: anyone can run them, and each prints its figures beside a peer's from the same run."""
