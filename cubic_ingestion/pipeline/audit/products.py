"""Products: each holds the loads that stand in Springboard, once and with their rows, in tables that somebody knows."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.counted import counted
from cubic_ingestion.domain.product import Product, ProductKind, products_of
from cubic_ingestion.pipeline.audit.findings import Audit, Finding, FindingCode, Tell
from cubic_ingestion.pipeline.audit.product_rows import ProductRowsCheck
from cubic_ingestion.pipeline.ingestion_platform import Platform

_LOOKS = 3
_LONGEST_WAIT = timedelta(hours=2)
"""A product rests for an hour at most after a merge, and is tried again after an hour at most."""


class ProductsCheck:
    """Compares products with the ledger, and the warehouse's tables with the products that are known.

    A change that waits for its product is a finding only if it has waited for too long.
    """

    zone = "warehouse"

    def __init__(self, platform: Platform, done: Audit) -> None:
        self._platform = platform
        self._done = done

    def check(self, tell: Tell) -> Iterator[Finding]:
        """Yield what is wrong, one finding per product and kind."""
        products = products_of(self._platform.tables.values())
        unfollowed = self._platform.ledger.deliveries[Consumer.PRODUCTS].unfollowed(list(products))
        yield from self._behind(products)
        for source, product in products.items():
            if source in unfollowed:
                yield self._finding(FindingCode.PRODUCT_BEHIND, product.name, "It was never built, and has no rows.")
            else:
                yield from self._differing(product)
            tell("products", 1)
        # The tables first: a product is on record before its table is created.
        tables = self._platform.warehouse.tables()
        recorded = {state.table: state.name for state in self._platform.ledger.products.states()}
        known = {product.name for product in products.values()} | set(recorded.values())
        for name in tables:
            if name not in known:
                problem = "No declared table and no product on record has this name."
                yield self._finding(FindingCode.UNKNOWN_PRODUCT, name, problem)
        for source, name in recorded.items():
            yield from ProductRowsCheck(self._platform, self._done, name, source).check(tell)

    def _behind(self, products: Mapping[str, Product]) -> Iterator[Finding]:
        patience = _LONGEST_WAIT + timedelta(seconds=2 * self._platform.limits.claim_timeout_seconds)
        since = self._platform.clock.now() - patience
        for behind in self._platform.ledger.deliveries[Consumer.PRODUCTS].backlog():
            if behind.table in products and behind.oldest_at < since:
                why = f"; the last try failed: {behind.error}" if behind.error else ""
                changes = counted(behind.n_changes, "change waits", "changes wait")
                problem = f"{changes}, the oldest since {behind.oldest_at:%Y-%m-%d %H:%M:%S} UTC{why}."
                yield self._finding(FindingCode.PRODUCT_BEHIND, products[behind.table].name, problem)

    def _differing(self, product: Product) -> Iterator[Finding]:
        """Compare the loads on record of a product with what it is made of; what differs is looked at again.

        The differences are read first. A change that comes later is on its way by the time that it is asked for, and
        one that was applied in between differs no more at the next look.
        """
        ledger = self._platform.ledger
        wrong: dict[int, tuple[int | None, int | None]] | None = None
        for _ in range(_LOOKS):
            found = {load_id: (held, standing) for load_id, held, standing in ledger.differences.of(product)}
            if wrong is not None:
                found = {load_id: rows for load_id, rows in found.items() if load_id in wrong}
            pending = ledger.deliveries[Consumer.PRODUCTS].pending_loads(list(found))
            wrong = {load_id: rows for load_id, rows in found.items() if load_id not in pending}
            if not wrong:
                return
        lacking = {load_id: rows for load_id, rows in (wrong or {}).items() if rows[1] is not None}
        left = (wrong or {}).keys() - lacking.keys()
        if lacking:
            load_id, (held, standing) = min(lacking.items())
            rows = f"{held or 0} of {counted(standing or 0, 'row')}" if held != standing else "another version"
            problem = (
                f"{counted(len(lacking), 'load')} in Springboard are not in it with all rows, and no change is on its "
                f"way; of load {load_id}, it has {rows}."
            )
            yield self._finding(FindingCode.NOT_IN_PRODUCT, product.name, problem, load_id)
        if left:
            loads = counted(len(left), "load that has", "loads that have")
            what = "of its snapshot in Springboard" if product.kind is ProductKind.CURRENT else "in Springboard"
            problem = f"It has rows of {loads} none {what}, the first: {min(left)}."
            yield self._finding(FindingCode.LEFT_IN_PRODUCT, product.name, problem, min(left))

    def _finding(self, code: FindingCode, name: str, problem: str, load_id: int | None = None) -> Finding:
        return Finding(code, self.zone, name, load_id, problem)
