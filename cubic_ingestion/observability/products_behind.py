"""Products that are not brought up to date: their last try failed, their changes wait too long, or nobody follows them.

A product rests after a costly merge. Its changes wait on purpose until the rest is over.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.product import Product, products_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Backlog
from cubic_ingestion.observability.problems import Problem, ProblemCode, Thresholds

_IS_ANYBODY_THERE = "is the daemon running, and the sensor 'products' on? 'cubic ingest' updates products too."


def products_behind(
    tables: Mapping[str, Table], ledger: Ledger, now: datetime, thresholds: Thresholds
) -> Iterator[Problem]:
    """Yield one problem per product. Cheap: no query reads what is archived.

    Args:
        tables: The declared tables by name.
        ledger: Reads the ledger.
        now: The present moment.
        thresholds: ``max_wait_seconds`` counts from the moment at which the product may have its next merge.
    """
    products, deliveries = products_of(tables.values()), ledger.deliveries[Consumer.PRODUCTS]
    merges = ledger.products.last_merges()
    longest = timedelta(seconds=thresholds.max_wait_seconds)
    for behind in deliveries.backlog():
        product = products.get(behind.table)
        if product is None:
            continue
        merged_at, seconds = merges.get(behind.table, (None, None))
        rest = thresholds.limits.rest_after(seconds) if merged_at and merged_at <= now else timedelta()
        if behind.error or now - max(behind.oldest_at, (merged_at or behind.oldest_at) + rest) > longest:
            yield _waiting(product, behind)
    for name in deliveries.unfollowed(list(products)):
        yield _unfollowed(products[name])


def _waiting(product: Product, behind: Backlog) -> Problem:
    changes = counted(behind.n_changes, "change")
    why = f" The last try failed: {behind.error}" if behind.error else ""
    return Problem(
        ProblemCode.PRODUCT_BEHIND,
        behind.table,
        behind.oldest_at,
        f"{product.name} lacks {changes}, the oldest since {behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC. Queries see the "
        f"product as it was before.{why}",
        "If the message has a reason, correct that: the next try is after a pause of at most an hour. Else: "
        f"{_IS_ANYBODY_THERE}",
    )


def _unfollowed(product: Product) -> Problem:
    return Problem(
        ProblemCode.PRODUCT_BEHIND,
        product.source.name,
        None,
        f"{product.source.name} has rows in Springboard, and {product.name} was never built.",
        f"Was the project upgraded just now? The next update builds the product. Else: {_IS_ANYBODY_THERE}",
    )
