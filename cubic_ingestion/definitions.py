"""Dagster's entry point. Loading it touches no network and no database."""

from cubic_ingestion.bootstrap import SharedPlatform, declared_tables
from cubic_ingestion.defs import build_definitions
from cubic_ingestion.settings import read_settings

defs = build_definitions(declared_tables(), SharedPlatform().get, read_settings().dmap_fetch_at)
