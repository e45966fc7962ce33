"""``cubic products switch``: which snapshot a person wants to see."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.generation import Shown
from cubic_ingestion.ledger.records import Intent
from cubic_ingestion.products.update import update_products
from cubic_ingestion_tests.cli.conftest import Cubic, Outcome
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import BASE, CHANGES, depot_of, put_ods

TABLE, CURRENT = "cubic__ods_qlik__edw_sample", "cubic__ods_qlik__edw_sample__current"
OLD, NEW = "20220301T000000Z", "20220304T090000Z"


@pytest.fixture
def depot(home: Path) -> Depot:
    """A home with two full loads of the sample table, of which the second has changes."""
    depot = depot_of(home)
    for started_at in ("2022-03-01T00:00:00.000", "2022-03-04T09:00:00.000"):
        put_ods(depot, f"{BASE}LOAD00000001.csv.gz", started_at=started_at)
        depot.settle()
    put_ods(depot, f"{CHANGES}20220304-100000000.csv.gz")
    depot.settle()
    return depot


def complaint(outcome: Outcome) -> str:
    """Return what was said on standard error, without the frame that is drawn around it."""
    return " ".join(outcome.error.replace("│", " ").split())


def snapshots_shown(depot: Depot) -> list[tuple[object, ...]]:
    """Ask the catalog, as an analyst does."""
    with duckdb.connect(depot.root / "catalog.duckdb", read_only=True) as catalog:
        return catalog.sql(f"SELECT DISTINCT snapshot FROM {CURRENT}").fetchall()


def begin_product(depot: Depot) -> None:
    """Put the product on record, as its first merge does."""
    ledger, now = depot.platform.ledger, depot.platform.clock.now()
    deliveries = ledger.deliveries[Consumer.PRODUCTS]
    later = now + timedelta(minutes=15)
    (work,) = deliveries.claim([TABLE], claimant="run-1/a", now=now, expires_at=later, n_tables=1, n_changes=9)
    ledger.products.intend("run-1/a", TABLE, CURRENT, [Intent(1, "e", 1, (NEW,))])
    ledger.products.forget("run-1/a", TABLE)
    deliveries.complete("run-1/a", work)


@pytest.mark.parametrize("name", [TABLE, CURRENT])
def test_a_product_is_switched_by_its_name_or_that_of_its_base_table(cubic: Cubic, depot: Depot, name: str) -> None:
    begin_product(depot)

    outcome = cubic("products", "switch", name, "--to", OLD, "--json")

    assert outcome.exit_code == 0, outcome.error
    assert [row["product"] for row in outcome.json] == [CURRENT]
    assert depot.platform.ledger.generations.shown(TABLE) == Shown(OLD, chosen_over=NEW)


def test_the_rows_of_the_snapshot_that_was_chosen_are_shown(cubic: Cubic, depot: Depot) -> None:
    assert update_products(depot.platform, run_id="test").refused == {}
    assert snapshots_shown(depot) == [(NEW,)]

    for snapshot in (OLD, NEW):
        outcome = cubic("products", "switch", TABLE, "--to", snapshot)
        assert outcome.exit_code == 0, outcome.error
        assert snapshots_shown(depot) == [(snapshot,)]


def test_a_switch_to_a_snapshot_that_is_not_there_names_those_that_are(cubic: Cubic, depot: Depot) -> None:
    outcome = cubic("products", "switch", TABLE, "--to", "20990101T000000Z")

    assert outcome.exit_code == 2
    assert f"'{TABLE}' has no snapshot 20990101T000000Z; it has {OLD}, {NEW}" in complaint(outcome)
    assert depot.platform.ledger.generations.shown(TABLE) == Shown()


def test_a_table_without_full_load_has_no_snapshot_to_switch_to(cubic: Cubic, home: Path) -> None:
    depot_of(home)
    outcome = cubic("products", "switch", TABLE, "--to", OLD)
    assert outcome.exit_code == 2
    assert "none with rows in Springboard yet" in complaint(outcome)


def test_a_product_that_is_not_built_yet_is_not_switched(cubic: Cubic, depot: Depot) -> None:
    outcome = cubic("products", "switch", TABLE, "--to", OLD)

    assert outcome.exit_code == 2
    assert f"'{CURRENT}' is not built yet; 'cubic ingest' builds it" in complaint(outcome)
    assert depot.platform.ledger.generations.shown(TABLE) == Shown()


@pytest.mark.parametrize("name", [f"{TABLE}__ct", f"{TABLE}__changes", "cubic__kafka__sample"])
def test_only_a_current_shows_a_snapshot(cubic: Cubic, depot: Depot, name: str) -> None:
    outcome = cubic("products", "switch", name, "--to", OLD)
    assert outcome.exit_code == 2
    assert "holds all snapshots; only a '__current' shows a single one" in complaint(outcome)
    assert depot.platform.ledger.generations.shown(TABLE) == Shown()
