"""Showing: have people find the products, as they are in the warehouse, in a catalog that lost them."""

from collections.abc import Collection

import pyarrow as pa

from cubic_ingestion.domain.product import Product, ProductKind, products_of
from cubic_ingestion.errors import CubicIngestionError
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import ProductEntry, WarehouseTable
from cubic_ingestion.products.current_rows import shape_of
from cubic_ingestion.products.generation_facts import facts_of
from cubic_ingestion.products.rows import product_schema


def show_all(platform: Platform, tables: Collection[str] | None = None) -> dict[str, str]:
    """Show all products again that have a snapshot in the warehouse. Idempotent; merges may go on.

    Args:
        platform: The platform.
        tables: Names of the tables whose products to show; all if None.

    Returns:
        Why a product could not be shown, by its name. One that fails does not stop the others.
    """
    refused: dict[str, str] = {}
    for name, product in products_of(platform.tables.values()).items():
        if tables is None or name in tables:
            try:
                with last_resort():
                    _show(platform, product)
            except CubicIngestionError as error:
                refused[product.name] = str(error)
    return refused


def entry_of(platform: Platform, product: Product, table: WarehouseTable) -> ProductEntry:
    """Return what the catalog needs to show a product as it is in a snapshot."""
    uris = [platform.warehouse.bucket.uri(file.key) for file in table.files()]
    return ProductEntry(product.name, _columns(platform, product), table.schema, uris)


def _columns(platform: Platform, product: Product) -> pa.Schema:
    """Return the columns of a product in their own types."""
    source, known = product.source, platform.ledger.schemas.known
    if product.kind is not ProductKind.CURRENT:
        return product_schema(product, known(source.name))
    generation = next((state.generation for state in platform.ledger.products.states([source.name])), None) or ""
    facts = facts_of(platform, source, generation)
    tables = [source.name, *(table.name for table in platform.tables.values() if table.base == source.name)]
    all_files = [columns for name in tables for columns in known(name)]
    return shape_of(source, generation, facts.key, [*facts.base, *facts.changes], all_files).shown


def _show(platform: Platform, product: Product) -> None:
    """Show a product, without its lease.

    A merge commits first and shows second. So if the snapshot that was shown is still the newest one afterwards, every
    later merge shows its own snapshot after this call. If it is not, this call may have hidden a newer snapshot.
    """
    table = platform.warehouse.open(product.name)
    while table and table.snapshot:
        platform.catalog.show(entry_of(platform, product, table))
        newest = platform.warehouse.open(product.name)
        if newest is None or newest.snapshot == table.snapshot:
            return
        table = newest
