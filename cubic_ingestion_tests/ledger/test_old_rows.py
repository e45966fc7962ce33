"""Rows of the old layout that the new one has no place for: the upgrade names the row and the remedy, and keeps all."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from cubic_ingestion.errors import OldRowError
from cubic_ingestion.ledger.upgrade import current_revision, upgrade
from cubic_ingestion_tests.databases import an_engine

PREFIX = "cubic/ods_qlik/EDW.SAMPLE/"


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    """Return a database in the old layout, with one table and two sound loads."""
    with an_engine(empty_database_url) as engine:
        upgrade(engine, "0001")
        execute(engine, f"INSERT INTO cubic_ods_tables (id, name, s3_prefix) VALUES (7, 'sample', '{PREFIX}')")
        for number in (1, 2):
            execute(
                engine,
                f"""INSERT INTO cubic_ods_loads (id, table_id, status, s3_key, s3_modified, s3_size)
                    VALUES ({number}, 7, 'archived', '{PREFIX}LOAD{number}.csv.gz', '2022-03-04 12:00:00', 100)""",
            )
        yield engine


def execute(engine: Engine, sql: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(sql))


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_a_status_that_nobody_knows_is_named_with_its_row_and_its_remedy(old: Engine) -> None:
    execute(old, "UPDATE cubic_ods_loads SET status = 'on\nhold' WHERE id = 2")

    with pytest.raises(OldRowError) as refused:
        upgrade(old)

    message = str(refused.value)
    assert "\n" not in message
    assert "Row 2 of cubic_ods_loads" in message
    assert "LOAD2.csv.gz" in message
    assert r"on\nhold" in message
    assert "UPDATE cubic_ods_loads SET status = 'ready' WHERE id = 2" in message
    assert "more" not in message


def test_an_upgrade_that_a_row_stops_changes_nothing_and_goes_on_once_the_row_is_right(old: Engine) -> None:
    before = rows(old, "SELECT * FROM cubic_ods_loads ORDER BY id")
    execute(old, "UPDATE cubic_ods_loads SET status = 'on_hold'")

    with pytest.raises(OldRowError, match=r"Row 1 .* 1 more row"):
        upgrade(old)
    assert current_revision(old) in {None, "0001"}

    execute(old, "UPDATE cubic_ods_loads SET status = 'archived'")
    assert rows(old, "SELECT * FROM cubic_ods_loads ORDER BY id") == before
    upgrade(old)
    assert rows(old, "SELECT id, status FROM cubic_loads ORDER BY id") == [(1, "archived"), (2, "archived")]


def test_two_tables_of_one_folder_are_named(old: Engine) -> None:
    execute(old, f"INSERT INTO cubic_ods_tables (id, name, s3_prefix) VALUES (9, 'twin', '{PREFIX.rstrip('/')}')")

    with pytest.raises(OldRowError, match=r"Row 9 of cubic_ods_tables .*twin.* same folder"):
        upgrade(old)


def test_a_load_of_no_table_is_named_and_not_dropped(old: Engine) -> None:
    if old.dialect.name != "sqlite":
        pytest.skip("PostgreSQL always held loads to their tables; SQLite does so only where it is told to")
    with old.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys = OFF")
        driver.execute("UPDATE cubic_ods_loads SET table_id = 8 WHERE id = 2")
        driver.execute("PRAGMA foreign_keys = ON")

    with pytest.raises(OldRowError, match=r"Row 2 of cubic_ods_loads .*table_id 8"):
        upgrade(old)
