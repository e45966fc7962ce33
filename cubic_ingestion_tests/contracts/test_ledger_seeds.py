"""Deliveries of changes that are on record already: how a consumer begins, what is asked for again, what is gone."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from cubic_ingestion.domain.changes import ChangeKind, Consumer
from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.feeds import become_new, changes, deliveries, process, replay
from cubic_ingestion_tests.contracts.ledgers import (
    AT_NOON,
    BASE,
    DAY,
    DMAP,
    archived,
    ingested,
    ready,
)

ERROR = LoadError("bad_value", "It is bad.")
SOON = datetime.now(UTC) + timedelta(days=1)
"""After all that a test records."""


def test_a_new_consumer_begins_with_the_last_change_of_each_load_that_has_rows(ledger: Ledger, engine: Engine) -> None:
    kept, moved = archived(ledger, "a.csv", "b.csv")
    replay(ledger, moved, "elsewhere")
    (rejected,) = ready(ledger, "c.csv")
    ledger.outcomes.reject(rejected.id, ERROR)
    become_new(engine, Consumer.CATALOG)
    catalog = ledger.deliveries[Consumer.CATALOG]

    assert catalog.due([DMAP.name, BASE.name], **AT_NOON) == [DMAP.name]
    (work,) = deliveries(ledger, Consumer.CATALOG)
    assert [(each.load_id, each.kind, each.location, each.is_seed) for each in work.deliveries] == [
        (kept.id, ChangeKind.PUBLISHED, f"{kept.version.key}.parquet", True),
        (moved.id, ChangeKind.PUBLISHED, "elsewhere", True),
    ]
    assert catalog.complete("run-9/a", work)
    ingested(ledger, "d.csv")
    (follows,) = deliveries(ledger, Consumer.CATALOG)
    assert [(each.location, each.is_seed) for each in follows.deliveries] == [(f"{DMAP.prefix}d.csv.parquet", False)]


def test_rows_of_before_there_was_a_feed_are_delivered_to_a_new_consumer(ledger: Ledger, engine: Engine) -> None:
    (load,) = archived(ledger, "a.csv")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM cubic_deliveries"))
        connection.execute(text("DELETE FROM cubic_changes"))
    become_new(engine, Consumer.CATALOG)

    (work,) = deliveries(ledger, Consumer.CATALOG)

    assert [(each.load_id, each.location, each.is_seed) for each in work.deliveries] == [
        (load.id, f"{load.version.key}.parquet", True)
    ]
    assert work.deliveries[0].partition_key == DAY


@pytest.mark.parametrize("is_new", [True, False])
def test_a_seed_and_a_refresh_name_where_rows_are_now_whatever_moved_them(
    ledger: Ledger, engine: Engine, *, is_new: bool
) -> None:
    moved, placed, back, kept = archived(ledger, "a.csv", "b.csv", "c.csv", "d.csv")
    replay(ledger, back, "elsewhere")
    process(ledger, Consumer.CATALOG)
    first = f"{back.version.key}.parquet"
    with engine.begin() as connection:  # a release without a feed is at work
        move = text("UPDATE cubic_loads SET location = :place, partition_key = :day WHERE id = :id")
        connection.execute(move, {"place": "moved", "day": "2022-03-05", "id": moved.id})
        connection.execute(move, {"place": f"{placed.version.key}.parquet", "day": "2022-03-06", "id": placed.id})
        connection.execute(move, {"place": first, "day": DAY, "id": back.id})
    if is_new:
        become_new(engine, Consumer.CATALOG)
    else:
        assert ledger.deliveries[Consumer.CATALOG].refresh() == 4

    (work,) = deliveries(ledger, Consumer.CATALOG)

    assert {each.load_id: (each.kind, each.partition_key, each.location) for each in work.deliveries} == {
        moved.id: (ChangeKind.PUBLISHED, "2022-03-05", "moved"),
        placed.id: (ChangeKind.PUBLISHED, "2022-03-06", f"{placed.version.key}.parquet"),
        back.id: (ChangeKind.PUBLISHED, DAY, first),
        kept.id: (ChangeKind.PUBLISHED, DAY, f"{kept.version.key}.parquet"),
    }
    assert len(work.deliveries) == 4
    assert ledger.deliveries[Consumer.CATALOG].refresh() == 4
    assert len(changes(engine, moved, placed, back, kept)) == 9  # and no more the next time


def test_what_is_recorded_before_a_new_consumer_begins_is_delivered_once(ledger: Ledger, engine: Engine) -> None:
    ingested(ledger, "a.csv")
    become_new(engine, Consumer.CATALOG)
    (b,) = ingested(ledger, "b.csv")

    (work,) = deliveries(ledger, Consumer.CATALOG)

    assert len(work.deliveries) == 2
    assert [each.is_seed for each in work.deliveries if each.load_id == b.id] == [False]


def test_deliveries_made_again_while_they_are_processed_are_processed_once_more(ledger: Ledger) -> None:
    ingested(ledger, "a.csv", "b.csv")
    catalog = ledger.deliveries[Consumer.CATALOG]
    (work,) = deliveries(ledger, Consumer.CATALOG)
    assert catalog.refresh() == 2
    assert catalog.complete("run-9/a", work)

    (again,) = deliveries(ledger, Consumer.CATALOG)

    assert again.locations == work.locations
    assert catalog.complete("run-9/a", again)
    assert catalog.backlog() == []


def test_the_last_page_of_a_lost_claim_leaves_no_delivery_of_a_forgotten_change(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    (slow,) = deliveries(ledger, Consumer.CATALOG)
    ledger.claims.release_runs("run-9", retry_at=NOON)
    replay(ledger, load)
    for consumer in Consumer:
        process(ledger, consumer)
    ledger.retention.forget(SOON)

    assert not ledger.deliveries[Consumer.CATALOG].complete("gone/b", slow)

    assert ledger.deliveries[Consumer.CATALOG].backlog() == []


def test_deliveries_whose_changes_are_gone_end_with_the_next_claim(ledger: Ledger, engine: Engine) -> None:
    ingested(ledger, "a.csv")
    for consumer in Consumer:
        process(ledger, consumer)
    ingested(ledger, "b.csv")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM cubic_changes"))

    assert [deliveries(ledger, consumer) for consumer in Consumer] == [[] for _ in Consumer]

    assert [ledger.deliveries[consumer].due([DMAP.name], **AT_NOON) for consumer in Consumer] == [[] for _ in Consumer]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM cubic_deliveries")).scalar_one() == 0


def test_deliveries_of_a_table_that_is_no_longer_declared_wait_until_it_is_again(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    ingested(ledger, "LOAD1.csv.gz", table=BASE)
    ledger.tables.sync([DMAP])
    catalog = ledger.deliveries[Consumer.CATALOG]

    assert catalog.refresh() == 1
    followers = (ledger.deliveries[Consumer.CATALOG], ledger.deliveries[Consumer.DAGSTER])
    assert [[behind.table for behind in each.backlog()] for each in followers] == [[DMAP.name]] * 2

    ledger.tables.sync([DMAP, BASE])
    assert [[behind.table for behind in each.backlog()] for each in followers] == [[DMAP.name, BASE.name]] * 2
    assert [behind.table for behind in ledger.deliveries[Consumer.PRODUCTS].backlog()] == [BASE.name]
