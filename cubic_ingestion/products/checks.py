"""Checks: whether a product holds just what it is made of, by the ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import Product
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.products.current import KEY
from cubic_ingestion.products.errors import LoadChangedError, LogMovedOnError
from cubic_ingestion.products.folded_state import MovedOnError, folded_state
from cubic_ingestion.products.generations import lacking
from cubic_ingestion.products.key_checks import is_key_unique, n_duplicate_keys


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
    """What a check of ``__current`` can tell."""

    key: tuple[str, ...]
    """Empty if there is no product."""
    refused: Mapping[int, str]
    """Loads whose changes are not applied, and why."""
    lacking: str | None
    """Why the generation that is shown is not complete: a LOAD file of it is in Error."""
    n_duplicate_keys_in_loads: int | None
    """Keys that occur more than once in the LOAD files; None if rows were not read."""
    is_key_unique: bool | None
    """Whether each key is in the product once, and its files are in key order; None if rows were not read."""


def current_checks(platform: Platform, product: Product, *, reads_rows: bool = True) -> CurrentFacts:
    """Look up what a check of ``__current`` can tell.

    Args:
        platform: The platform.
        product: The product.
        reads_rows: Also read the LOAD files and the product's keys. Without that, it is cheap. If what is on record
            cannot be read as a whole at the moment, rows are not read.
    """
    source, trouble = product.source, platform.ledger.product_trouble
    generation = platform.ledger.generations.shown(source.name).generation
    table = platform.warehouse.open(product.name)
    properties = table.snapshot.properties if table and table.snapshot else {}
    n_duplicates, is_unique = _read_rows(platform, product) if reads_rows else (None, None)
    return CurrentFacts(
        key=tuple(json.loads(properties.get(KEY, "[]"))),
        refused=trouble.refused_of(source.name),
        lacking=lacking(platform, source, generation) if generation else None,
        n_duplicate_keys_in_loads=n_duplicates,
        is_key_unique=is_unique,
    )


def _read_rows(platform: Platform, product: Product) -> tuple[int | None, bool | None]:
    try:
        state = folded_state(platform, product)
        return (n_duplicate_keys(state), is_key_unique(state)) if state else (None, None)
    except (LoadChangedError, LogMovedOnError, MovedOnError):
        return None, None
