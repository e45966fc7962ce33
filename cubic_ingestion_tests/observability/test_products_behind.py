"""Products that are not brought up to date are a problem, on real databases; tables of other kinds never are."""

from datetime import timedelta

from sqlalchemy import or_, select, text

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.models import CubicTable
from cubic_ingestion.ledger.records import Intent, MergeFacts
from cubic_ingestion.observability.health import health
from cubic_ingestion.observability.metrics import LedgerCollector, exposition
from cubic_ingestion.observability.problems import Problem, ProblemCode, Thresholds
from cubic_ingestion.tables import load_tables
from cubic_ingestion_tests.builders import NOON, a_change_table, a_table, limits
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, an_ingested, claim
from cubic_ingestion_tests.observability.conftest import KAFKA, Watched
from cubic_ingestion_tests.observability.test_metrics import of, parsed

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CHANGES = a_change_table()
PRODUCT = products_of([CHANGES])[CHANGES.name].name


def came(watched: Watched, table: Table, name: str = "20220304-120000000.csv.gz") -> int:
    """Let a file of a table be ingested at noon."""
    load_id = watched.came(table, name, NOON)
    claim(watched.ledger, table=table)
    load = watched.ledger.queries.load(load_id)
    assert load is not None
    watched.ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)])
    return load_id


def behind(watched: Watched) -> list[Problem]:
    found = health(watched.tables, watched.observer, watched.moment, Thresholds(limits())).problems
    return [problem for problem in found if problem.code is ProblemCode.PRODUCT_BEHIND]


def merge(watched: Watched, load_id: int, *, seconds: float) -> None:
    """Apply the only change of the change table to its product, as a merge does."""
    deliveries, products = watched.ledger.deliveries[Consumer.PRODUCTS], watched.ledger.products
    now, expires_at = watched.moment, watched.moment + HOUR / 4
    (work,) = deliveries.claim(
        [CHANGES.name], claimant="run-1/p", now=now, expires_at=expires_at, n_tables=1, n_changes=9
    )
    products.intend("run-1/p", CHANGES.name, PRODUCT, [Intent(load_id, "e", 3, ("20220301T000000Z", 626))])
    products.finish("run-1/p", CHANGES.name, MergeFacts(3, 2, 4_096, seconds=seconds))
    deliveries.complete("run-1/p", work)


def test_changes_that_wait_longer_than_the_threshold_are_named(watched: Watched) -> None:
    came(watched, CHANGES)
    watched.moment = NOON + HOUR
    assert behind(watched) == []
    watched.moment += MINUTE
    (found,) = behind(watched)
    assert (found.table, found.since) == (CHANGES.name, NOON)
    assert f"{PRODUCT} lacks 1 change, the oldest since 2022-03-04 12:00:00 UTC" in found.message
    assert "'products'" in found.remedy


def test_a_try_that_failed_is_named_at_once_with_its_reason(watched: Watched) -> None:
    came(watched, CHANGES)
    deliveries = watched.ledger.deliveries[Consumer.PRODUCTS]
    (work,) = deliveries.claim([CHANGES.name], claimant="run-1/a", **AT_NOON, n_tables=1, n_changes=1)
    deliveries.postpone("run-1/a", work, NOON + HOUR, "the disk is full")
    (found,) = behind(watched)
    assert "the disk is full" in found.message


def test_changes_that_wait_while_a_product_rests_after_a_costly_merge_are_no_problem(watched: Watched) -> None:
    merge(watched, came(watched, CHANGES), seconds=350.0)
    came(watched, CHANGES, "20220304-120100000.csv.gz")
    watched.moment = NOON + 3_500 * timedelta(seconds=1) + HOUR
    assert behind(watched) == []
    watched.moment += MINUTE
    assert [found.table for found in behind(watched)] == [CHANGES.name]


def test_a_table_without_a_product_is_never_behind(watched: Watched) -> None:
    came(watched, a_table(), "20220304.csv")
    watched.moment = NOON + 100 * HOUR
    assert behind(watched) == []


def test_a_product_that_nobody_ever_followed_is_named(watched: Watched) -> None:
    """As after an upgrade from a release without products."""
    came(watched, KAFKA, "a.json")
    forget = "DELETE FROM cubic_deliveries WHERE consumer = 'products'"
    with watched.engine.begin() as connection:
        connection.execute(text(forget))
    (found,) = behind(watched)
    assert (found.table, found.since) == (KAFKA.name, None)
    assert f"{KAFKA.name}__events was never built" in found.message

    claimed = watched.ledger.deliveries[Consumer.PRODUCTS].claim(
        [KAFKA.name], claimant="run-1/a", **AT_NOON, n_tables=1, n_changes=1
    )
    assert [work.table for work in claimed] == [KAFKA.name]
    assert behind(watched) == []


def test_a_scrape_shows_how_far_products_are(watched: Watched) -> None:
    merge(watched, came(watched, CHANGES), seconds=1.5)
    came(watched, CHANGES, "20220304-120100000.csv.gz")
    came(watched, KAFKA, "a.json")
    watched.moment = NOON + HOUR
    samples = parsed(exposition(LedgerCollector(watched.tables, watched.observer, watched, Thresholds(limits()))))

    labels = {"stream": "ods", "table": CHANGES.name, "product": PRODUCT}
    facts = ("loads", "rows", "files", "bytes", "waiting_changes", "source_lag_seconds", "last_merge_seconds")
    assert [of(samples, f"cubic_product_{fact}", **labels) for fact in facts] == [1, 3, 2, 4_096, 1, 3_600, 1.5]
    unmerged = {"stream": "kafka", "table": KAFKA.name, "product": f"{KAFKA.name}__events"}
    assert of(samples, "cubic_product_waiting_changes", **unmerged) == 1
    assert ("cubic_product_rows", frozenset(unmerged.items())) not in samples


def test_changes_are_delivered_for_just_the_shipped_tables_that_have_a_product(watched: Watched) -> None:
    """The feed asks for prefixes and the product for the stream; a table of which they differ would be forgotten."""
    watched.declare(*load_tables(None).values())
    patterns = (CubicTable.s3_prefix.like(each, escape="\\") for each in Consumer.PRODUCTS.prefixes)
    with watched.engine.connect() as connection:
        delivered = set(connection.execute(select(CubicTable.name).where(or_(*patterns))).scalars())
    assert delivered == products_of(watched.tables.values()).keys()
    assert len(delivered) > 100
