"""Update: bring products up to date with Springboard, one table after the other, each under its lease."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.holding import MAX_PAUSE
from cubic_ingestion.domain.limits import Limits
from cubic_ingestion.domain.product import Lane, Product, ProductKind, products_of
from cubic_ingestion.errors import CubicIngestionError
from cubic_ingestion.ledger.records import Delivery, TableDeliveries
from cubic_ingestion.pipeline.claim import claimant_of
from cubic_ingestion.pipeline.heartbeat import Heartbeat
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.pipeline.release import release_dead
from cubic_ingestion.pipeline.tries import last_resort
from cubic_ingestion.ports import Keep
from cubic_ingestion.products.current import CurrentMerge
from cubic_ingestion.products.errors import HeldError, LoadChangedError
from cubic_ingestion.products.merge import Merge
from cubic_ingestion.products.steps import Merged

CHUNK_CHANGES = 5_000
"""Changes of a table that one merge takes."""
ALL_CHANGES = 10_000_000
MOST_LEFT = 20
"""Loads whose files cannot be taken, and that a merge goes on without; with more, something larger is wrong."""
LARGE_SECONDS, LARGE_ROWS = 30.0, 2_000_000
"""Seconds of the last merge, and rows of a first build, from which a product belongs to the large lane."""
_FIRST_PAUSE = timedelta(seconds=30)
_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class UpdateReport:
    """What became of the products of a pass."""

    merged: list[Merged] = field(default_factory=list[Merged])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Why a product was not brought up to date, by its name; it is tried again after a pause."""


def update_products(
    platform: Platform,
    tables: Collection[str] | None = None,
    *,
    run_id: str,
    only_due: bool = False,
    lane: Lane | None = None,
) -> UpdateReport:
    """Apply all changes of some tables to their products.

    A product that fails loses nothing: its changes stay on record, and are tried again after a pause that doubles with
    each failure, up to an hour.

    Args:
        platform: The platform.
        tables: Names of the tables whose products to update; all if None.
        run_id: The run that works; its leases are given back by it.
        only_due: Leave those alone whose last merge was too costly to have another one yet.
        lane: Only products of this lane; all if None.
    """
    report = UpdateReport()
    release_dead(platform.ledger, platform.clock.now())
    products = products_of(platform.tables.values())
    # What __changes took in is on its way to __current only then, so these come after them.
    for is_last in (False, True):
        names = [
            name
            for name, product in products.items()
            if (product.kind is ProductKind.CURRENT) == is_last and (tables is None or name in tables)
        ]
        due = due_products(platform, names) if only_due else products_with_changes(platform, names)
        for name in in_lane(platform, due, lane):
            _update(platform, products[name], claimant_of(run_id), report)
    return report


def rebuild_product(platform: Platform, product: Product, *, run_id: str) -> UpdateReport:
    """Write a product anew from all that stands in Springboard, beside what it is; one commit replaces it.

    Raises:
        HeldError: Somebody else holds the product.
        LeaseLostError: As ``Merge.rebuild`` raises it.
        LoadChangedError: As ``Merge.rebuild`` raises it.
    """
    report, claimant, deliveries = UpdateReport(), claimant_of(run_id), platform.ledger.deliveries[Consumer.PRODUCTS]
    update_products(platform, made_of(platform, product.source.name), run_id=run_id)
    if not deliveries.refresh([product.source.name]):
        return report
    work = _claim(platform, product, claimant, ALL_CHANGES)
    if work is None:
        raise HeldError(product.name)
    try:
        report.merged.append(_merge(platform, product, claimant).rebuild())
    except CubicIngestionError as error:
        deliveries.postpone(claimant, work, platform.clock.now(), str(error))
        raise
    deliveries.complete(claimant, work, _next(platform, product))
    return report


def due_products(platform: Platform, tables: Collection[str] | None = None) -> list[str]:
    """Return the tables whose products have changes, and whose last merge cost little enough for another one now."""
    merges = platform.ledger.products.last_merges()
    now = platform.clock.now()
    return [
        name
        for name in products_with_changes(platform, tables)
        if _is_due(*merges.get(name, (None, None)), now, platform.limits)
    ]


def in_lane(platform: Platform, tables: Collection[str], lane: Lane | None) -> list[str]:
    """Return those of some tables whose products are in a lane, or all; the cheapest first."""
    products, merges = platform.ledger.products, platform.ledger.products.last_merges()
    costs: dict[str, float] = {}
    for name in tables:
        merged_at, seconds = merges.get(name, (None, None))
        is_large = merged_at is None and products.n_standing_rows([name, *made_of(platform, name)]) >= LARGE_ROWS
        costs[name] = LARGE_SECONDS if is_large else seconds or 0.0
    return [
        name
        for name in sorted(costs, key=lambda name: costs[name])
        if lane is None or (costs[name] >= LARGE_SECONDS) == (lane is Lane.LARGE)
    ]


def made_of(platform: Platform, base: str) -> list[str]:
    """Name the change table of a base table: ``__current`` is made of its ``__changes``, too."""
    return [table.name for table in platform.tables.values() if table.base == base]


def _is_due(merged_at: datetime | None, seconds: float | None, now: datetime, limits: Limits) -> bool:
    """Say whether a last merge that ended at a time, and took so long, lies long enough ago. A clock may be ahead."""
    return merged_at is None or not timedelta() <= now - merged_at < limits.rest_after(seconds)


def products_with_changes(platform: Platform, tables: Collection[str] | None = None) -> Sequence[str]:
    """Return the tables whose products have changes to apply that nobody else holds.

    A snapshot that is complete now because no file of it has come for so long is told by delivering its files again.
    What is on its way to a product that is not declared is forgotten; should it be declared again, it is seeded.
    """
    products, deliveries = products_of(platform.tables.values()), platform.ledger.deliveries[Consumer.PRODUCTS]
    names = [name for name in products if tables is None or name in tables]
    now, expires_at = platform.claim_term()
    if settled := [name for name in platform.ledger.products.settled(now) if name in names]:
        deliveries.refresh(settled)
        platform.ledger.products.forget_settled(settled)
    if unwanted := [name for name in deliveries.followed() if name not in products]:
        deliveries.forget(unwanted)
    return deliveries.due(names, now=now, expires_at=expires_at)


def _update(platform: Platform, product: Product, claimant: str, report: UpdateReport) -> None:
    deliveries = platform.ledger.deliveries[Consumer.PRODUCTS]
    while work := _claim(platform, product, claimant, CHUNK_CHANGES):
        left: dict[int, str] = {}
        done: Sequence[Delivery] = ()
        try:
            with last_resort():
                merged = _apply(_merge(platform, product, claimant), _load_ids(platform, product, work), left)
                report.merged.append(merged)
            done = [each for each in work.deliveries if each.load_id not in left]
        except CubicIngestionError as error:
            left = {0: str(error)}
        if left:
            reason = next(iter(left.values()))
            _log.warning("product not up to date", product=product.name, reason=reason, n_left=len(left))
            report.refused[product.name] = reason
            pause = min(_FIRST_PAUSE * 2 ** min(work.attempts, 10), MAX_PAUSE)
            onwards = _next(platform, product)
            deliveries.postpone(claimant, work, platform.clock.now() + pause, reason, done, onwards)
            return
        if not deliveries.complete(claimant, work, _next(platform, product)) or len(work.deliveries) < CHUNK_CHANGES:
            return


def _merge(platform: Platform, product: Product, claimant: str) -> Merge | CurrentMerge:
    kind = CurrentMerge if product.kind is ProductKind.CURRENT else Merge
    return kind(platform, product, claimant, _renewing(platform, claimant))


def _next(platform: Platform, product: Product) -> str | None:
    """Return the table whose product is made of this one; None if none is."""
    base = product.source.base
    return base if base in products_of(platform.tables.values()) else None


def _load_ids(platform: Platform, product: Product, work: TableDeliveries) -> set[int]:
    """Return the loads that were delivered; after a seed, all that differ: nobody told what had changed before it."""
    delivered = {each.load_id for each in work.deliveries if each.load_id}
    if any(each.is_seed for each in work.deliveries):
        delivered |= {load_id for load_id, _, _ in platform.ledger.differences.of(product)}
    return delivered


def _apply(merge: Merge | CurrentMerge, load_ids: set[int], left: dict[int, str]) -> Merged:
    """Apply what was delivered, without the loads whose files cannot be taken; adds those to ``left``, with why."""
    while True:
        try:
            return merge.apply(load_ids - left.keys())
        except LoadChangedError as error:
            if error.load_id in left or len(left) >= MOST_LEFT:  # the first: a build takes all loads
                raise
            left[error.load_id] = str(error)


def _renewing(platform: Platform, claimant: str) -> Keep:
    """Return what renews the lease that a claimant has just taken, if it is time."""
    heartbeat = Heartbeat(platform.clock, platform.limits.claim_timeout_seconds)
    return partial(heartbeat.beat, partial(platform.ledger.deliveries[Consumer.PRODUCTS].renew, claimant))


def _claim(platform: Platform, product: Product, claimant: str, n_changes: int) -> TableDeliveries | None:
    now, expires_at = platform.claim_term()
    claimed = platform.ledger.deliveries[Consumer.PRODUCTS].claim(
        [product.source.name],
        claimant=claimant,
        now=now,
        expires_at=expires_at,
        n_tables=1,
        n_changes=n_changes,
    )
    return claimed[0] if claimed else None
