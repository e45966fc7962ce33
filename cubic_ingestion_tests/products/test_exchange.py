"""What differs between a product and Springboard is found under a lease, which is renewed meanwhile."""

from pathlib import Path

from cubic_ingestion.domain.product import Product, ProductKind
from cubic_ingestion.products.exchange import compare
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.products.deliveries import open_depot, put_kafka


def test_the_lease_is_renewed_while_the_versions_of_files_are_asked_for(tmp_path: Path) -> None:
    depot = open_depot(tmp_path)
    for number in range(5):
        put_kafka(depot, f"{number}", {"event_id": str(number)})
    depot.settle()
    renewals: list[None] = []

    found = compare(depot.platform, Product(ProductKind.EVENTS, KAFKA_TABLE), None, lambda: renewals.append(None))

    assert len(renewals) == len(found.additions) == 5
