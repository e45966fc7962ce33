"""Cubic ingestion: fare data from Incoming to queryable Parquet, on Dagster."""
