"""The tables of products, both ways: a downgrade forgets products, and what is on its way to them."""

from sqlalchemy import Engine

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Intent, MergeFacts
from cubic_ingestion.ledger.upgrade import downgrade, upgrade
from cubic_ingestion_tests.builders import a_change_table, an_ods_table
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, archived

CHANGES = a_change_table()


def test_products_are_forgotten_on_the_way_down_and_begin_with_all_rows_on_the_way_up(engine: Engine) -> None:
    ledger = Ledger(engine)
    ledger.tables.sync([an_ods_table(), CHANGES])
    archived(ledger, "20220304-101500123.csv.gz", table=CHANGES)
    (load_id,) = claimed(ledger)
    assert load_id is not None
    assert ledger.products.intend("run-1/a", CHANGES.name, "changes", [Intent(load_id, "etag", 3, ("s", 1))]) == 1
    assert ledger.products.finish("run-1/a", CHANGES.name, MergeFacts(3, 1, 10, 0.5))

    downgrade(engine, "0010")
    upgrade(engine)

    assert ledger.products.states() == []
    assert ledger.products.held(CHANGES.name) == {}
    assert claimed(ledger) == [load_id]


def claimed(ledger: Ledger) -> list[int | None]:
    deliveries = ledger.deliveries[Consumer.PRODUCTS]
    found = deliveries.claim([CHANGES.name], claimant="run-1/a", **AT_NOON, n_tables=1, n_changes=9)
    return [each.load_id for work in found for each in work.deliveries]
