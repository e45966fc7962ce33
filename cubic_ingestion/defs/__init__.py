"""The Dagster layer, one module a concept. It translates between Dagster and the pipeline, and decides nothing."""

from cubic_ingestion.defs.build import build_definitions

__all__ = ["build_definitions"]
