"""Catalog: make tables' Parquet queryable by name."""

from collections.abc import Mapping

import pyarrow.parquet as pq

from cubic_ingestion.domain.layout import springboard_prefix
from cubic_ingestion.ports import CatalogEntry, ObjectMissingError, Platform


def catalog(platform: Platform, locations: Mapping[str, str]) -> None:
    """Register tables where people look for them.

    Args:
        platform: The platform.
        locations: By table, the Springboard key of one of its files, whose columns the catalog is to have.

    Raises:
        CatalogUnavailableError: The catalog refused; the rows are safe in Springboard.
    """
    entries = [entry for name, key in locations.items() if (entry := _entry(platform, name, key))]
    if entries:
        platform.catalog.register(entries)


def _entry(platform: Platform, name: str, key: str) -> CatalogEntry | None:
    """Describe a table by one of its files; None if a newer version took the file's place meanwhile."""
    table, springboard = platform.tables[name], platform.stores.springboard
    try:
        with springboard.open(key) as file:
            schema = pq.read_schema(file)
    except ObjectMissingError:
        return None
    return CatalogEntry(table, springboard.uri(springboard_prefix(table)), schema)
