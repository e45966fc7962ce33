"""Tests of the declared tables and of what is said of a mistake in them."""
