"""An upgrade from the old layout while others are at work: the old application writes, and new processes start."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.errors import SchemaRevisionError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.upgrade import require_newest, upgrade
from cubic_ingestion_tests.databases import an_engine

PREFIX = "cubic/ods_qlik/EDW.SAMPLE/"
N_WRITERS = 3
ENOUGH = 30
"""Loads of each writer before the upgrade begins."""


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    """Return a database in the old layout, with one table."""
    with an_engine(empty_database_url) as engine:
        upgrade(engine, "0001")
        with engine.begin() as connection:
            connection.execute(
                text(f"INSERT INTO cubic_ods_tables (id, name, s3_prefix) VALUES (7, 'sample', '{PREFIX}')")
            )
        yield engine


class OldApplication:
    """Writes as the old application did: registers a load, works on it, archives it. Each step is a transaction."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self.archived: set[str] = set()
        self.registered: set[str] = set()
        self.has_enough = threading.Event()
        self.errors: list[str] = []

    def work(self, writer: int) -> None:
        """Work until the database refuses."""
        with an_engine(self._url) as engine, suppress(DBAPIError):
            for number in range(100_000):
                self._load(engine, f"{PREFIX}LOAD{writer}-{number}.csv.gz")
                if number == ENOUGH:
                    self.has_enough.set()

    def _load(self, engine: Engine, key: str) -> None:
        insert = """INSERT INTO cubic_ods_loads (table_id, status, s3_key, s3_modified, s3_size)
            VALUES (7, 'ready', :key, '2022-03-04 12:00:00', 100)"""
        change = "UPDATE cubic_ods_loads SET status = :status WHERE s3_key = :key"
        try:
            self._commit(engine, insert, {"key": key})
            self.registered.add(key)
            self._commit(engine, change, {"key": key, "status": "ingesting"})
            self._commit(engine, change, {"key": key, "status": "archived"})
            self.archived.add(key)
        except DBAPIError as error:
            with self._lock:
                self.errors.append(str(error.orig))
            raise

    @staticmethod
    def _commit(engine: Engine, sql: str, values: dict[str, str]) -> None:
        with engine.begin() as connection:
            connection.execute(text(sql), values)


def test_what_the_old_application_wrote_until_it_was_stopped_is_all_there(old: Engine, empty_database_url: str) -> None:
    application = OldApplication(empty_database_url)
    writers = [threading.Thread(target=application.work, args=(number,)) for number in range(N_WRITERS)]
    for writer in writers:
        writer.start()
    assert application.has_enough.wait(60)

    upgrade(old)
    for writer in writers:
        writer.join()

    loads = {load.version.key: load.status for load in Ledger(old).queries.loads(limit=100_000)}
    assert application.registered <= loads.keys()
    assert {key for key, status in loads.items() if status is LoadStatus.ARCHIVED} >= application.archived
    assert set(loads.values()) <= {LoadStatus.ARCHIVED, LoadStatus.READY}
    assert len(application.errors) == N_WRITERS
    assert [error for error in application.errors if "cubic_ods_loads" not in error] == []


@pytest.fixture
def at_the_drop(old: Engine) -> Callable[[Callable[[], None]], None]:
    """Have something done right before the upgrade drops the old tables, whose rows are all copied by then."""

    def do(something: Callable[[], None]) -> None:
        def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.strip().startswith("DROP TABLE cubic_ods_loads"):
                something()

        event.listen(old, "before_cursor_execute", before)

    return do


def test_the_old_application_cannot_write_what_the_upgrade_would_drop(
    old: Engine, empty_database_url: str, at_the_drop: Callable[[Callable[[], None]], None]
) -> None:
    refusals: list[str] = []

    def write() -> None:
        with an_engine(empty_database_url) as engine, engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            is_sqlite = engine.dialect.name == "sqlite"
            driver.execute("PRAGMA busy_timeout = 50" if is_sqlite else "SET lock_timeout = 50")
            try:
                driver.execute(
                    f"""INSERT INTO cubic_ods_loads (id, table_id, status, s3_key, s3_modified, s3_size)
                        VALUES (99, 7, 'ready', '{PREFIX}LOAD99.csv.gz', '2022-03-04 12:00:00', 100)"""
                )
            except Exception as error:  # noqa: BLE001 - of two drivers
                refusals.append(str(error))

    at_the_drop(write)
    upgrade(old)

    assert [("lock" in refusal) for refusal in refusals] == [True]


def test_a_new_process_that_starts_during_an_upgrade_is_told_to_wait_for_its_end(
    old: Engine, empty_database_url: str, at_the_drop: Callable[[Callable[[], None]], None]
) -> None:
    told: list[str] = []

    def start() -> None:
        with an_engine(empty_database_url) as engine:
            with pytest.raises(SchemaRevisionError) as refused:
                require_newest(engine)
            told.append(str(refused.value))

    at_the_drop(start)
    upgrade(old)

    assert len(told) == 1
    assert "cubic db upgrade" in told[0]
    with an_engine(empty_database_url) as engine:
        require_newest(engine)
