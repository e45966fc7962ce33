"""Real servers as processes of this machine, for tests and benchmarks. Not part of the product, nor of its wheel."""
