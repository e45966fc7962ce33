"""Checks: whether a product holds just what it is made of, by the ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import Product
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.products.current import DUPLICATE_KEYS, KEY, ORPHANS
from cubic_ingestion.products.generations import lacking


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


@dataclass(frozen=True, slots=True)
class CurrentFacts:
    """What a check of ``__current`` can tell. Cheap: no rows are read."""

    key: tuple[str, ...]
    """Empty if there is no product."""
    refused: Mapping[int, str]
    """Loads whose changes are not applied, and why."""
    lacking: str | None
    """Why the generation that is shown is not complete: a LOAD file of it is in Error."""
    n_duplicate_keys: int
    """Keys that occur more than once in the LOAD files. In the product, each key is once: its files are written so."""
    n_orphans: int
    """Updates of the last merge whose key had no row."""


def current_facts(platform: Platform, product: Product) -> CurrentFacts:
    """Look up what a check of ``__current`` can tell."""
    source = product.source
    generation = platform.ledger.generations.shown(source.name).generation
    table = platform.warehouse.open(product.name)
    properties = table.snapshot.properties if table and table.snapshot else {}
    return CurrentFacts(
        key=tuple(json.loads(properties.get(KEY, "[]"))),
        refused=platform.ledger.product_trouble.refused_of(source.name),
        lacking=lacking(platform, source, generation) if generation else None,
        n_duplicate_keys=int(properties.get(DUPLICATE_KEYS, 0)),
        n_orphans=int(properties.get(ORPHANS, 0)),
    )
