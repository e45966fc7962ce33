"""Declared tables, as data: one TOML entry a table, the production tables and the samples; and how they are read."""

from cubic_ingestion.tables.declarations import SHIPPED, check_tables, load_tables

__all__ = ["SHIPPED", "check_tables", "load_tables"]
