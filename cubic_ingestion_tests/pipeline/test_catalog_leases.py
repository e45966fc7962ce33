"""The lease on the tables that a catalog update works on: it is renewed until the work ends."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.errors import CubicIngestionError
from cubic_ingestion.ports import CatalogEntry, Keep, keep_nothing
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.conftest import KAFKA_TABLE
from cubic_ingestion_tests.depot import CatalogThatIsDown, Depot

DMAP = a_table()


class CatalogThatTakesLong(CatalogThatIsDown):
    """A catalog that works on each table for most of a lease; meanwhile somebody else asks for the same tables."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot
        self.n_changes_of_others: list[int] = []

    def register(
        self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
    ) -> Mapping[str, CubicIngestionError]:
        for _ in entries:
            self._depot.clock.advance(seconds=self._depot.platform.limits.claim_timeout_seconds * 0.9)
            keep()
            if len(self.n_changes_of_others) < 2:
                self.n_changes_of_others.append(self._depot.catalog().n_changes)
        return {}


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with two tables whose rows the catalog does not know yet."""
    depot = Depot.build(tmp_path, [DMAP, KAFKA_TABLE])
    depot.put(f"{DMAP.prefix}20220301.csv", b"sample_id,sample_name,sample_count\n1,a,5\n")
    depot.put(f"{KAFKA_TABLE.prefix}abc.json", b'{"event_id": "e"}\n')
    depot.end_loads()
    return depot


def test_a_catalog_update_that_takes_longer_than_the_lease_keeps_its_tables(depot: Depot) -> None:
    slow = CatalogThatTakesLong(depot)

    report = replace(depot, platform=replace(depot.platform, catalog=slow)).catalog()

    assert slow.n_changes_of_others == [0, 0]
    assert report.n_changes == 2
    assert depot.platform.ledger.deliveries[Consumer.CATALOG].backlog() == []


def test_a_catalog_update_that_is_killed_loses_its_tables_when_the_lease_ends(depot: Depot) -> None:
    class KilledError(BaseException):
        pass

    class CatalogThatDies(CatalogThatIsDown):
        def register(
            self, entries: Collection[CatalogEntry], keep: Keep = keep_nothing
        ) -> Mapping[str, CubicIngestionError]:
            assert entries
            depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds / 2)
            keep()
            raise KilledError

    with pytest.raises(KilledError):
        replace(depot, platform=replace(depot.platform, catalog=CatalogThatDies())).catalog()

    depot.clock.advance(seconds=depot.platform.limits.claim_timeout_seconds - 1)
    assert depot.catalog().n_changes == 0
    depot.clock.advance(seconds=1)
    assert depot.catalog().n_changes == 2
