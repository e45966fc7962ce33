"""Catalogs: adapters to the ``TableCatalog`` port, named vendor and role. Vendors' libraries are imported when used."""

from cubic_ingestion.catalog.open_catalog import open_catalog

__all__ = ["open_catalog"]
