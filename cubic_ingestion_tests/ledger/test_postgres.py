"""PostgreSQL as in production: statements end, lost transactions are run again, upgrades keep nobody waiting."""

import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest
from sqlalchemy import Connection, Engine, inspect, text

from cubic_ingestion.errors import DatabaseUnavailableError
from cubic_ingestion.ledger import upgrade as upgrading
from cubic_ingestion.ledger.engine import make_engine, reading, writing
from cubic_ingestion.ledger.postgres import PostgresLimits
from cubic_ingestion.ledger.transactions import Transactions
from cubic_ingestion.ledger.upgrade import NEWEST, current_revision
from cubic_ingestion_tests.databases import an_engine, upgrade_at

pytestmark = pytest.mark.postgres

ON_POSTGRES = pytest.mark.parametrize(
    "empty_database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
BEFORE_COUNTING = "0003"
BEFORE_ROOM, WITH_ROOM = "0006", "0007"
POOL_SIZE = 2
WAIT_SECONDS = 20


@pytest.fixture
def limited(postgres_url: str) -> Iterator[Engine]:
    """Engine with narrow limits, on the server's own database."""
    engine = make_engine(postgres_url, PostgresLimits(POOL_SIZE, statement_timeout_seconds=1))
    yield engine
    engine.dispose()


@contextmanager
def in_a_transaction(url: str, statement: str) -> Generator[psycopg.Connection]:
    """Be somebody else who has run a statement, and has not committed."""
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())
        yield connection


def insert_a_table(url: str, name: str) -> None:
    """Write as the platform does, waiting a second for a lock at most."""
    with psycopg.connect(url, options="-c lock_timeout=1000") as connection:
        connection.execute(
            "INSERT INTO cubic_tables (name, s3_prefix, is_raw, is_active, inserted_at, updated_at)"
            " VALUES (%s, %s, false, true, now(), now())",
            (name, f"{name}/"),
        )


def insert_a_load(connection: psycopg.Connection, key: str) -> None:
    connection.execute(
        "INSERT INTO cubic_loads (table_id, status, s3_key, s3_etag, s3_modified, s3_size, is_raw, attempts,"
        " n_quarantined, is_replay_due, inserted_at, updated_at)"
        " SELECT min(id), 'ready', %s, 'etag', now(), 1, false, 0, 0, false, now(), now() FROM cubic_tables",
        (key,),
    )


def wait_until_somebody_waits(url: str, statement: str) -> None:
    """Wait until such a statement waits for a lock."""
    deadline = time.monotonic() + WAIT_SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
            " AND datname = current_database()",
            (f"%{statement}%",),
        ).fetchone():
            assert time.monotonic() < deadline, f"nobody waits with {statement}"
            time.sleep(0.01)


def test_a_statement_that_takes_too_long_is_ended_and_not_tried_again(limited: Engine) -> None:
    tries = count()

    def sleep(connection: Connection) -> None:
        next(tries)
        connection.execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(DatabaseUnavailableError):
        Transactions(limited, retry_seconds=30).read(sleep)
    assert next(tries) == 1


def test_a_process_has_no_more_connections_than_it_may(limited: Engine) -> None:
    def count_connections(_: int) -> int:
        with reading(limited) as connection:
            statement = "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.05) WHERE application_name = :name"
            return connection.execute(text(statement), {"name": "cubic_ingestion"}).scalar_one()

    with ThreadPoolExecutor(3 * POOL_SIZE) as threads:
        counts = list(threads.map(count_connections, range(6 * POOL_SIZE)))
    assert 1 <= max(counts) <= POOL_SIZE


def test_a_transaction_whose_connection_was_lost_is_run_again_whole(limited: Engine) -> None:
    tries = count(1)

    def write(connection: Connection) -> int:
        number = next(tries)
        connection.execute(text("CREATE TEMPORARY TABLE written (number int) ON COMMIT DROP"))
        connection.execute(text("INSERT INTO written VALUES (:number)"), {"number": number})
        if number == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return connection.execute(text("SELECT sum(number) FROM written")).scalar_one()

    assert Transactions(limited, retry_seconds=10).write(write) == 2


def test_a_deadlock_s_victim_is_run_again(limited: Engine) -> None:
    """Have two transactions take two locks, each the other's first one second."""
    both_have_one = threading.Barrier(2, timeout=WAIT_SECONDS)
    transactions = Transactions(limited, retry_seconds=WAIT_SECONDS)

    def take(first: int, second: int) -> None:
        tries = count()

        def work(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": first})
            if not next(tries):
                both_have_one.wait()
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL deadlock_timeout = 50"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": second})

        transactions.write(work)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(take, 71, 72), threads.submit(take, 72, 71)]:
            done.result(timeout=WAIT_SECONDS)


def test_nothing_is_left_on_a_connection_so_that_a_pooler_may_stand_in_between(limited: Engine) -> None:
    for _ in range(20):
        with writing(limited) as connection:
            connection.execute(text("SELECT :n + 1"), {"n": 1})
    with limited.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        prepared = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
        timeout = connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
    assert (prepared, timeout) == (0, "0")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("statement_timeout", "1s"), ("lock_timeout", "30s"), ("idle_in_transaction_session_timeout", "1min")],
)
def test_every_transaction_has_its_timeouts(limited: Engine, setting: str, value: str) -> None:
    with reading(limited) as connection:
        assert connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == value


@ON_POSTGRES
def test_others_write_while_an_upgrade_builds_its_indexes(empty_database_url: str) -> None:
    upgrade_at(empty_database_url, BEFORE_COUNTING)
    insert_a_table(empty_database_url, "a")
    with (
        ThreadPoolExecutor(1) as threads,
        in_a_transaction(empty_database_url, "LOCK TABLE cubic_loads IN ROW EXCLUSIVE MODE") as writer,
    ):
        done = threads.submit(upgrade_at, empty_database_url)
        wait_until_somebody_waits(empty_database_url, "CREATE INDEX CONCURRENTLY")
        with psycopg.connect(empty_database_url, options="-c lock_timeout=1000") as another:
            insert_a_load(another, "meanwhile")
        insert_a_load(writer, "slowly")
        writer.commit()
        done.result(timeout=WAIT_SECONDS)
    with an_engine(empty_database_url) as engine:
        assert current_revision(engine) == NEWEST
        with reading(engine) as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM cubic_loads").scalar_one() == 2


@ON_POSTGRES
def test_an_index_that_a_killed_upgrade_left_is_built_anew(empty_database_url: str) -> None:
    upgrade_at(empty_database_url, BEFORE_COUNTING)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE INDEX ix_cubic_loads_standing ON cubic_loads (id)")
    upgrade_at(empty_database_url)
    with an_engine(empty_database_url) as engine:
        indexes = {index["name"]: index["column_names"] for index in inspect(engine).get_indexes("cubic_loads")}
    assert indexes["ix_cubic_loads_standing"][:2] == ["table_id", "status"]


@ON_POSTGRES
def test_an_upgrade_that_waits_for_a_lock_lets_others_pass(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "LOCK_SECONDS", 0.2)
    upgrade_at(empty_database_url, "0001")
    with (
        ThreadPoolExecutor(1) as threads,
        in_a_transaction(empty_database_url, "SELECT count(*) FROM cubic_ods_loads") as reader,
    ):
        done = threads.submit(upgrade_at, empty_database_url)
        wait_until_somebody_waits(empty_database_url, "cubic_ods")
        with psycopg.connect(empty_database_url, options="-c lock_timeout=1000") as another:
            another.execute("SELECT count(*) FROM cubic_ods_loads")
        assert not done.done()
        reader.commit()
        done.result(timeout=WAIT_SECONDS)
    with an_engine(empty_database_url) as engine:
        assert current_revision(engine) == NEWEST


@ON_POSTGRES
def test_the_old_application_can_end_the_transaction_that_an_upgrade_waits_for(empty_database_url: str) -> None:
    upgrade_at(empty_database_url, "0001")
    with (
        ThreadPoolExecutor(1) as threads,
        in_a_transaction(empty_database_url, "LOCK TABLE cubic_ods_loads IN ROW EXCLUSIVE MODE") as writer,
    ):
        done = threads.submit(upgrade_at, empty_database_url)
        wait_until_somebody_waits(empty_database_url, "LOCK TABLE")
        writer.execute("LOCK TABLE cubic_ods_tables IN ROW SHARE MODE NOWAIT")
        writer.commit()
        done.result(timeout=WAIT_SECONDS)


@ON_POSTGRES
def test_an_upgrade_that_is_a_deadlock_s_victim_is_run_again(empty_database_url: str) -> None:
    upgrade_at(empty_database_url, "0001")
    never = "SET deadlock_timeout = '1h'"
    with ThreadPoolExecutor(1) as threads, in_a_transaction(empty_database_url, never) as writer:
        writer.execute("LOCK TABLE cubic_ods_tables IN ROW SHARE MODE")
        done = threads.submit(upgrade_at, empty_database_url)
        wait_until_somebody_waits(empty_database_url, "LOCK TABLE")
        writer.execute("LOCK TABLE cubic_ods_loads IN ROW EXCLUSIVE MODE")
        writer.commit()
        done.result(timeout=WAIT_SECONDS)
    with an_engine(empty_database_url) as engine:
        assert current_revision(engine) == NEWEST


@ON_POSTGRES
def test_room_in_pages_is_made_while_others_write(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrading, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(upgrading, "LOCKED_FOR_SECONDS", 0.1)
    upgrade_at(empty_database_url, BEFORE_ROOM)
    insert_a_table(empty_database_url, "a")
    with in_a_transaction(empty_database_url, "LOCK TABLE cubic_loads IN ROW EXCLUSIVE MODE") as writer:
        upgrade_at(empty_database_url, WITH_ROOM)
        insert_a_load(writer, "a")


@ON_POSTGRES
def test_new_loads_lie_together_and_not_in_the_gaps_of_packed_pages(empty_database_url: str) -> None:
    upgrade_at(empty_database_url, BEFORE_ROOM)
    insert_a_table(empty_database_url, "a")
    with psycopg.connect(empty_database_url) as connection:
        for number in range(200):
            insert_a_load(connection, f"{number:0{500 + 2 * number}}")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("VACUUM cubic_loads")
    upgrade_at(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:  # another one: each goes on in the page it wrote to last
        for number in range(20):
            insert_a_load(connection, f"new/{number}")
        pages = connection.execute(
            "SELECT count(DISTINCT (ctid::text::point)[0]) FROM cubic_loads WHERE s3_key LIKE 'new/%'"
        ).fetchone()
    assert pages == (1,)
