"""Catalog: make tables' Parquet queryable by name."""

from collections.abc import Mapping
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from cubic_ingestion.domain.layout import springboard_prefix
from cubic_ingestion.parsing.arrow_types import arrow_schema
from cubic_ingestion.parsing.common_schema import common_schema
from cubic_ingestion.pipeline.whole import WholeBody
from cubic_ingestion.ports import CatalogEntry, CatalogPart, ObjectChangedError, ObjectMissingError, Platform


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
    uri = springboard.uri(springboard_prefix(table))
    if _has_conflict([arrow_schema(columns) for columns in platform.repository.known_schemas(name)]):
        parts = _parts(platform, name)
        return CatalogEntry(table, uri, common_schema(part.schema for part in parts), parts)
    standing = springboard.head(key)
    if standing is None:
        return None
    try:
        with springboard.open(key, standing.etag) as file:
            schema = pq.read_schema(cast("BinaryIO", WholeBody(file, key, standing.size_bytes)))
    except (ObjectMissingError, ObjectChangedError):
        return None
    return CatalogEntry(table, uri, schema)


def _has_conflict(schemas: list[pa.Schema]) -> bool:
    """Say whether a column has different types in different files, which engines make one in ways that lose values."""
    types = {(field.name, field.type) for schema in schemas for field in schema}
    return len(types) > len({name for name, _ in types})


def _parts(platform: Platform, name: str) -> list[CatalogPart]:
    springboard = platform.stores.springboard
    load_id = pa.field("load_id", pa.int64())
    return [
        CatalogPart(arrow_schema(columns).append(load_id), [springboard.uri(key) for key in keys])
        for columns, keys in platform.repository.locations_by_schema(name).items()
    ]
