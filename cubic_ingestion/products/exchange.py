"""Exchange: what differs between a product and Springboard, load by load."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cubic_ingestion.domain.product import Product
from cubic_ingestion.ledger.records import Intent, StandingLoad
from cubic_ingestion.ledger.rows import in_pages
from cubic_ingestion.pipeline.ingestion_platform import Platform
from cubic_ingestion.ports import Keep, keep_nothing
from cubic_ingestion.products.errors import LoadChangedError
from cubic_ingestion.products.rows import Addition, place_of


@dataclass(slots=True)
class Exchange:
    """Loads to take out of a product and to put in."""

    additions: list[Addition] = field(default_factory=list[Addition])
    """In the order of their rows: by partition, the file's own time, its name."""
    removed: dict[tuple[object, ...], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Loads whose rows go, by the partition that has them."""
    intents: list[Intent] = field(default_factory=list[Intent])


def compare(
    platform: Platform, product: Product, load_ids: Collection[int] | None, keep: Keep = keep_nothing
) -> Exchange:
    """Find what differs for some loads; if ``load_ids`` is None, put in all that stand, whatever the product holds.

    Args:
        platform: The platform.
        product: The product.
        load_ids: The loads to compare.
        keep: Renews the caller's lease; called for each load that stands.

    Raises:
        LoadChangedError: A load's file is gone; what became of it is told as a change of its own.
    """
    source, products, exchange = product.source.name, platform.ledger.products, Exchange()
    held = products.held(source, load_ids)
    wanted = sorted(products.standing_ids(source)) if load_ids is None else sorted(load_ids)
    standing: set[int] = set()
    for load, etag in _standing(platform, source, wanted):
        keep()
        standing.add(load.load_id)
        before = held.get(load.load_id)
        addition = Addition(load, etag, place_of(product, load))
        if load_ids is not None and before and (before.etag, before.place) == (etag, addition.place):
            continue
        exchange.additions.append(addition)
        exchange.intents.append(Intent(load.load_id, etag, load.n_rows, addition.place))
        if before:
            exchange.removed[before.place].add(load.load_id)
    for load_id in held.keys() - standing:
        exchange.removed[held[load_id].place].add(load_id)
        exchange.intents.append(Intent(load_id, None, 0, held[load_id].place))
    exchange.additions.sort(key=_in_order)
    return exchange


def _in_order(addition: Addition) -> tuple[object, ...]:
    return addition.place, addition.load.source_at, addition.load.identifier


def _standing(platform: Platform, source: str, load_ids: Collection[int]) -> Iterator[tuple[StandingLoad, str]]:
    """Read loads that stand, page by page, and ask for the versions of their files."""
    for page in in_pages(load_ids):
        yield from with_etags(platform, platform.ledger.products.standing(source, page).values())


def with_etags(platform: Platform, loads: Collection[StandingLoad]) -> Iterator[tuple[StandingLoad, str]]:
    """Ask for the versions of loads' files, several at once.

    Raises:
        LoadChangedError: A file is gone.
    """
    springboard = platform.stores.springboard
    with ThreadPoolExecutor(platform.limits.parallel_loads) as pool:
        found = pool.map(springboard.head, [load.location for load in loads])
        for load, version in zip(loads, found, strict=True):
            if version is None:
                raise LoadChangedError(load.load_id, load.location)
            yield load, version.etag
