"""The upgrade from two outboxes to the change feed: with rows, both ways, killed at each statement, beside writers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, inspect, text

from cubic_ingestion.domain.changes import WHOLE_TABLE, Consumer
from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.ledger import upgrade as upgrading
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.upgrade import current_revision, downgrade, upgrade
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, BASE, DAY, DMAP, archived, ingested, ready
from cubic_ingestion_tests.databases import an_engine, upgrade_at
from cubic_ingestion_tests.ledger.kills import killed
from cubic_ingestion_tests.ledger.test_postgres import ON_POSTGRES, insert_a_load, wait_until_somebody_waits

BEFORE, AFTER = "0009", "0010"
TABLES = [DMAP.name, BASE.name]
PAUSE_ENDS = datetime(2022, 3, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def fed(engine: Engine) -> Engine:
    """Return a database with a load in the catalog, one on its way there, a rejected one, and a pause."""
    ledger = Ledger(engine)
    ledger.tables.sync([DMAP, BASE])
    archived(ledger, "done.csv")
    for consumer in Consumer:
        for work in claimed(ledger, consumer):
            ledger.deliveries[consumer].complete("run-1/a", work)
    ingested(ledger, "waiting.csv")
    (rejected,) = ready(ledger, "rejected.csv")
    ledger.outcomes.reject(rejected.id, LoadError("bad_value", "It is bad."))
    ledger.trouble.acknowledge([rejected.id], "Dana", "known")
    ingested(ledger, "LOAD1.csv.gz", table=BASE)
    (_, refused) = claimed(ledger, Consumer.CATALOG)
    ledger.deliveries[Consumer.CATALOG].postpone("run-1/a", refused, PAUSE_ENDS, "throttled")
    ledger.claims.release_runs("run-1", retry_at=PAUSE_ENDS)
    return engine


def claimed(ledger: Ledger, consumer: Consumer) -> Any:
    return ledger.deliveries[consumer].claim(TABLES, claimant="run-1/a", **AT_NOON, n_tables=9, n_changes=99)


def test_what_is_open_goes_down_and_up(fed: Engine) -> None:
    downgrade(fed, BEFORE)
    assert rows(fed, "SELECT location FROM cubic_catalog_changes ORDER BY id") == [
        (f"{DMAP.prefix}waiting.csv.parquet",),
        (f"{BASE.prefix}LOAD1.csv.gz.parquet",),
    ]
    assert rows(fed, "SELECT catalog_error, catalog_attempts FROM cubic_tables ORDER BY id") == [
        (None, 0),
        ("throttled", 1),
    ]
    assert set(rows(fed, "SELECT partition_key FROM cubic_dagster_changes")) == {(DAY,), (WHOLE_TABLE,)}
    upgrade(fed)
    assert_all_is_open(fed)


def assert_all_is_open(engine: Engine) -> None:
    """Check that the consumers have just what they had before."""
    ledger = Ledger(engine)
    behind = {each.table: each for each in ledger.deliveries[Consumer.CATALOG].backlog()}
    assert {table: each.n_changes for table, each in behind.items()} == {DMAP.name: 1, BASE.name: 1}
    assert (behind[BASE.name].error, behind[BASE.name].due_at) == ("throttled", PAUSE_ENDS)
    (of_dmap,) = claimed(ledger, Consumer.CATALOG)
    assert list(of_dmap.locations) == [f"{DMAP.prefix}waiting.csv.parquet"]
    work = {each.table: each for each in claimed(ledger, Consumer.DAGSTER)}
    assert set(work[DMAP.name].partition_keys) == {DAY, WHOLE_TABLE}
    assert set(work[BASE.name].partition_keys) == {DAY}
    assert not any(each.is_seed for table in work.values() for each in table.deliveries)
    ledger.claims.release_runs("run-1", retry_at=PAUSE_ENDS)


def test_the_feed_and_the_steps_come_back_after_a_downgrade(fed: Engine) -> None:
    ledger = Ledger(fed)
    (done,) = [load for load in ledger.queries.loads(limit=9) if load.version.key.endswith("done.csv")]
    steps, feed = ledger.steps.of(done.id), rows(fed, "SELECT * FROM cubic_changes ORDER BY id")
    downgrade(fed, BEFORE)
    upgrade(fed)

    assert ledger.steps.of(done.id) == steps
    assert rows(fed, "SELECT * FROM cubic_changes ORDER BY id") == feed


def test_a_partition_that_an_earlier_upgrade_has_queued_stays_one_that_dagster_may_show(fed: Engine) -> None:
    downgrade(fed, BEFORE)
    execute(fed, "UPDATE cubic_dagster_changes SET is_seed = true WHERE partition_key <> ''")
    upgrade(fed)

    found = [each for work in claimed(Ledger(fed), Consumer.DAGSTER) for each in work.deliveries]

    assert {each.partition_key for each in found if each.is_seed} == {DAY}
    assert {each.partition_key for each in found if not each.is_seed} == {WHOLE_TABLE}


def test_a_location_whose_rows_are_gone_is_a_change_as_well(fed: Engine) -> None:
    downgrade(fed, BEFORE)
    execute(fed, "UPDATE cubic_catalog_changes SET location = 'gone/part-0.parquet' WHERE location LIKE '%waiting%'")
    upgrade(fed)

    assert Ledger(fed).deliveries[Consumer.CATALOG].pending_locations(["gone/part-0.parquet"]) == {
        "gone/part-0.parquet"
    }


def test_a_consumer_that_is_new_after_the_upgrade_begins_with_all_rows(fed: Engine) -> None:
    downgrade(fed, BEFORE)
    execute(fed, "DROP TABLE cubic_parked_changes")
    execute(fed, "DROP TABLE cubic_parked_load_steps")  # a database that never had a feed
    upgrade(fed)
    execute(fed, "DELETE FROM cubic_consumers WHERE consumer = 'catalog'")
    execute(fed, "DELETE FROM cubic_deliveries WHERE consumer = 'catalog'")

    found = [location for work in claimed(Ledger(fed), Consumer.CATALOG) for location in work.locations]

    assert sorted(found) == [
        f"{DMAP.prefix}done.csv.parquet",
        f"{DMAP.prefix}waiting.csv.parquet",
        f"{BASE.prefix}LOAD1.csv.gz.parquet",
    ]


def migrate(engine: Engine, revision: str) -> None:
    (downgrade if (current_revision(engine) or "") > revision else upgrade)(engine, revision)


@pytest.mark.slow
def test_an_upgrade_that_is_killed_at_any_statement_is_begun_again_from_where_it_was(
    fed: Engine, database_url: str
) -> None:
    assert_killed_at_each_statement(fed, database_url, BEFORE, AFTER)
    assert_all_is_open(fed)


@pytest.mark.slow
def test_a_downgrade_that_is_killed_at_any_statement_is_begun_again_from_where_it_was(
    fed: Engine, database_url: str
) -> None:
    assert_killed_at_each_statement(fed, database_url, AFTER, BEFORE)
    upgrade(fed)
    assert_all_is_open(fed)


def assert_killed_at_each_statement(engine: Engine, url: str, start: str, goal: str) -> None:
    """Kill a migration before each of its statements; each time everything is as before."""
    migrate(engine, start)
    before, n = everything(engine), 1
    engine.dispose()
    while killed(url, n, lambda engine: migrate(engine, goal)):
        assert everything(engine) == before, n
        assert current_revision(engine) == start
        engine.dispose()
        n += 1
    assert n > 20
    assert current_revision(engine) == goal


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    names = [name for name in inspect(engine).get_table_names() if name.startswith("cubic_")]
    return {name: rows(engine, f"SELECT * FROM {name} ORDER BY 1, 2, 3") for name in sorted(names)}


@ON_POSTGRES
@pytest.mark.slow
def test_the_upgrade_waits_for_no_lock_longer_than_those_behind_it_can_bear(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "LOCK_SECONDS", 0.2)
    upgrade_at(empty_database_url, BEFORE)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO cubic_tables (name, s3_prefix, is_raw, is_active, inserted_at, updated_at)"
            " VALUES ('a', 'a/', false, true, now(), now())"
        )
    with ThreadPoolExecutor(1) as threads, psycopg.connect(empty_database_url) as writer:
        writer.execute(
            "INSERT INTO cubic_catalog_changes (table_id, location, inserted_at)"
            " SELECT min(id), 'late', now() FROM cubic_tables"
        )
        done = threads.submit(upgrade_at, empty_database_url)
        wait_until_somebody_waits(empty_database_url, "LOCK TABLE cubic_catalog_changes")
        with psycopg.connect(empty_database_url, options="-c lock_timeout=5000") as another:
            insert_a_load(another, "meanwhile")
        assert not done.done()
        writer.commit()
        done.result(timeout=20)
    with an_engine(empty_database_url) as engine:
        assert rows(engine, "SELECT location FROM cubic_changes") == [("late",)]
        assert rows(engine, "SELECT consumer FROM cubic_deliveries") == [("catalog",)]
        assert rows(engine, "SELECT s3_key FROM cubic_loads") == [("meanwhile",)]


@ON_POSTGRES
def test_the_downgrade_brings_over_what_is_written_until_nobody_can_write(empty_database_url: str) -> None:
    upgrade_at(empty_database_url)
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(empty_database_url) as writer,
        an_engine(empty_database_url) as engine,
    ):
        Ledger(engine).tables.sync([DMAP])
        ((table_id,),) = rows(engine, "SELECT id FROM cubic_tables")
        writer.execute(
            "INSERT INTO cubic_changes (table_id, kind, partition_key, location, inserted_at)"
            " VALUES (%s, 'published', '', 'late', now())",
            (table_id,),
        )
        writer.execute(
            "INSERT INTO cubic_deliveries (consumer, table_id, change_id)"
            " SELECT 'catalog', table_id, id FROM cubic_changes"
        )
        done = threads.submit(downgrade, engine, BEFORE)
        wait_until_somebody_waits(empty_database_url, "cubic_")
        writer.commit()
        done.result(timeout=20)
        assert rows(engine, "SELECT location FROM cubic_catalog_changes") == [("late",)]


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def execute(engine: Engine, sql: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(sql))
