"""Cleaning: remove from the warehouse what no kept snapshot has needed for the grace period."""

from datetime import timedelta

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.pipeline.ingestion_platform import Platform


def clean_warehouse(platform: Platform) -> int:
    """Remove what readers cannot be using any more, and return how many objects there were. Idempotent.

    The grace period of an object begins when a call first sees that nothing needs the object. So call this every hour.
    """
    grace = timedelta(hours=platform.limits.warehouse_grace_hours)
    return platform.warehouse.clean(platform.clock.now(), grace, lambda: leased_products(platform))


def leased_products(platform: Platform) -> set[str]:
    """Return the names of the products that somebody holds. A lease counts until somebody takes it over.

    The holder of a lease that has ended may still commit, as long as nobody else has taken the lease.
    """
    products = products_of(platform.tables.values())
    leased = platform.ledger.deliveries[Consumer.PRODUCTS].leased()
    return {products[table].name for table in leased if table in products}
