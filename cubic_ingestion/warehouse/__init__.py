"""The warehouse: the adapter to the ``Warehouse`` port over Iceberg. pyiceberg is imported when it is first used."""

from cubic_ingestion.warehouse.lazy_warehouse import LazyWarehouse, open_in_database, open_in_glue

__all__ = ["LazyWarehouse", "open_in_database", "open_in_glue"]
