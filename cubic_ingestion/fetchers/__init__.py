"""Adapters that bring data from elsewhere, named vendor and role; each keeps its vendor's package to itself."""
