"""The suite of ``Ledger``: how products differ from what they are made of, and what they leave out."""

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Intent, MergeFacts, RefusedLoads
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, BASE, CHANGES, archived

CURRENT, LOG = Product(ProductKind.CURRENT, BASE), Product(ProductKind.CHANGES, CHANGES)
GENERATION = "20220301T000000Z"


@pytest.fixture
def change(engine: Engine) -> tuple[Ledger, int]:
    """Return a ledger, and a load of the change table with three rows that are archived."""
    ledger = Ledger(engine)
    ledger.tables.sync([BASE, CHANGES])
    archived(ledger, "20220304-101500123.csv.gz", table=CHANGES)
    (load,) = ledger.queries.loads()
    return ledger, load.id


def hold(ledger: Ledger, product: Product, *intents: Intent) -> None:
    """Let a product hold loads."""
    table = product.source.name
    ledger.deliveries[Consumer.PRODUCTS].refresh([table])
    ledger.deliveries[Consumer.PRODUCTS].claim([table], claimant=table, **AT_NOON, n_tables=1, n_changes=9)
    assert ledger.products.intend(table, table, product.name, intents)
    generation = GENERATION if product is CURRENT else None
    assert ledger.products.finish(table, table, MergeFacts(3, 1, 10, None, generation))


def test_a_log_is_compared_with_what_stands_in_springboard(change: tuple[Ledger, int]) -> None:
    ledger, load_id = change
    (difference,) = ledger.differences.of(LOG)
    assert difference[:2] == (load_id, None)
    hold(ledger, LOG, Intent(load_id, "etag", difference[2] or 0, (GENERATION, 626)))
    assert ledger.differences.of(LOG) == []


def test_current_is_compared_with_its_generation_in_the_log(change: tuple[Ledger, int]) -> None:
    ledger, load_id = change
    assert ledger.differences.of(CURRENT) == []
    hold(ledger, LOG, Intent(load_id, "etag", 3, (GENERATION, 626)))
    with_change = Intent(load_id, "etag", 3, (GENERATION,))
    # The base table has no load, so its deliveries are only claimed if a change is on its way to it.
    archived(ledger, "LOAD00000001.csv.gz", table=BASE)
    hold(ledger, CURRENT, with_change)
    assert ledger.differences.of(CURRENT) == []
    hold(ledger, CURRENT, Intent(load_id, "older", 3, (GENERATION,)))
    assert ledger.differences.of(CURRENT) == [(load_id, 3, 3)]
    hold(ledger, CURRENT, Intent(load_id, None, 0, (GENERATION,)))
    assert ledger.differences.of(CURRENT) == [(load_id, None, 3)]
    hold(ledger, CURRENT, with_change)
    hold(ledger, LOG, Intent(load_id, "etag", 3, ("20220302T000000Z", 626)))
    assert ledger.differences.of(CURRENT) == [(load_id, 3, None)]


def test_loads_whose_changes_are_left_out_are_told(change: tuple[Ledger, int]) -> None:
    ledger, load_id = change
    archived(ledger, "LOAD00000001.csv.gz", table=BASE)
    hold(ledger, CURRENT, Intent(load_id, "etag", 3, (GENERATION,), "no sequence"))
    key = f"{CHANGES.prefix}20220304-101500123.csv.gz"
    told = RefusedLoads(BASE.name, CURRENT.name, 1, load_id, key, "no sequence")
    assert ledger.product_trouble.refused() == [told]
    assert ledger.product_trouble.refused_of(BASE.name) == {load_id: "no sequence"}
    assert ledger.product_trouble.refused_of(CHANGES.name) == {}
    assert ledger.product_trouble.rejected() == []
