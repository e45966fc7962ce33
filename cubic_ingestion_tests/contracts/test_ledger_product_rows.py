"""What the audit and the cleaning ask about products, on each database in turn."""

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import Intent, MergeFacts
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, CHANGES, ingested

PRODUCT = "cubic__ods_qlik__edw_sample__changes"


def merge(ledger: Ledger, *intents: Intent) -> None:
    deliveries = ledger.deliveries[Consumer.PRODUCTS]
    (work,) = deliveries.claim([CHANGES.name], claimant="run-1/a", **AT_NOON, n_tables=1, n_changes=9)
    assert deliveries.leased() == [CHANGES.name]
    ledger.products.intend("run-1/a", CHANGES.name, PRODUCT, intents)
    ledger.products.finish("run-1/a", CHANGES.name, MergeFacts(7, 1, 100, seconds=1.0))
    deliveries.complete("run-1/a", work)


def test_the_rows_on_record_are_told_by_partition_as_of_the_last_merge(ledger: Ledger) -> None:
    one, two = ingested(ledger, "20220304-120000000.csv.gz", "20220304-120100000.csv.gz", table=CHANGES)
    assert ledger.products.recorded(CHANGES.name).merge == 0

    merge(ledger, Intent(one.id, "e", 3, ("S", 626)), Intent(two.id, "e", 4, ("S", 627)))

    recorded = ledger.products.recorded(CHANGES.name)
    rows = {place: (list(ids), list(counts)) for place, (ids, counts) in recorded.by_place.items()}
    assert (recorded.merge, rows) == (1, {("S", 626): ([one.id], [3]), ("S", 627): ([two.id], [4])})


def test_a_product_without_loads_has_its_merge_on_record(ledger: Ledger) -> None:
    (one,) = ingested(ledger, "20220304-120000000.csv.gz", table=CHANGES)
    merge(ledger, Intent(one.id, None, 0, ("S", 626)))
    recorded = ledger.products.recorded(CHANGES.name)
    assert (recorded.merge, recorded.by_place) == (1, {})


def test_a_product_is_leased_until_it_is_given_back(ledger: Ledger) -> None:
    (one,) = ingested(ledger, "20220304-120000000.csv.gz", table=CHANGES)
    merge(ledger, Intent(one.id, "e", 3, ("S", 626)))
    assert ledger.deliveries[Consumer.PRODUCTS].leased() == []
