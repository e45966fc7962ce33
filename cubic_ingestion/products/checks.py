"""Checks: whether a product holds just what it is made of, by the ledger."""

from dataclasses import dataclass

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import Product
from cubic_ingestion.pipeline.ingestion_platform import Platform


@dataclass(frozen=True, slots=True)
class Completeness:
    """How the loads of a product compare with what it is made of.

    ``__current`` is made of the LOAD files of one generation, and of the loads of that generation in ``__changes``.
    """

    n_waiting: int
    """Changes that are on their way to the product."""
    n_lacking: int
    """Loads that it lacks, or has other rows of, though no change of them is on its way."""
    n_left_over: int
    """Loads that it holds and is not made of any more, though no change of them is on its way."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is wrong that will not pass."""
        return not (self.n_lacking or self.n_left_over)


def completeness(platform: Platform, product: Product) -> Completeness:
    """Compare."""
    name, deliveries = product.source.name, platform.ledger.deliveries[Consumer.PRODUCTS]
    # Differences first: a change that comes after them is on its way by the time that is asked.
    different = platform.ledger.differences.of(product)
    on_the_way = deliveries.pending_loads([load_id for load_id, _, _ in different])
    wrong = {load_id: standing for load_id, _, standing in different if load_id not in on_the_way}
    if wrong:  # a merge may have applied them between the two looks
        still = {load_id for load_id, _, _ in platform.ledger.differences.of(product)}
        wrong = {load_id: standing for load_id, standing in wrong.items() if load_id in still}
    n_waiting = sum(behind.n_changes for behind in deliveries.backlog() if behind.table == name)
    n_lacking = sum(standing is not None for standing in wrong.values())
    return Completeness(n_waiting, n_lacking, len(wrong) - n_lacking)
