"""Connections: which URLs are taken, how moments are kept, and what a vendor's error becomes."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.exc import OperationalError, StatementError

from cubic_ingestion.errors import DatabaseUnavailableError, SettingsError
from cubic_ingestion.ledger.engine import make_engine, reading, writing
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.models import CubicDmapFeed
from cubic_ingestion_tests.databases import POSTGRES_LIMITS, an_engine, upgrade_at


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_driver_is_written_into_a_postgresql_url(scheme: str) -> None:
    assert make_engine(f"{scheme}://me@host/db", POSTGRES_LIMITS).url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "secret", "postgresql://me:secret@host:port/db"])
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="CUBIC_DATABASE_URL") as refused:
        make_engine(url, POSTGRES_LIMITS)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_moments_keep_their_microseconds_and_come_back_in_utc(engine: Engine) -> None:
    moment = datetime(2022, 3, 4, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    with writing(engine) as connection:
        connection.execute(insert(CubicDmapFeed).values(relative_url="/feed", last_updated_at=moment))
        found = connection.execute(select(CubicDmapFeed.last_updated_at)).scalar_one()
    assert (found, found and found.tzinfo) == (moment, UTC)


def test_a_moment_without_a_time_zone_is_refused(engine: Engine) -> None:
    naive = datetime(2022, 3, 4)  # noqa: DTZ001 - what is refused
    with pytest.raises(StatementError, match="no time zone"), writing(engine) as connection:
        connection.execute(insert(CubicDmapFeed).values(relative_url="/feed", last_updated_at=naive))


def test_a_database_that_cannot_be_reached_is_a_passing_trouble_told_without_password() -> None:
    with (
        an_engine("postgresql://me:secret@127.0.0.1:1/db") as engine,
        pytest.raises(DatabaseUnavailableError) as trouble,
    ):
        Ledger(engine, retry_seconds=0.1).queries.load(1)
    assert "secret" not in str(trouble.value)
    assert isinstance(trouble.value.__cause__, OperationalError)


@pytest.mark.postgres
def test_a_connection_that_the_server_closed_is_replaced(postgres_url: str) -> None:
    with an_engine(postgres_url) as engine:
        with reading(engine) as connection:
            process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with an_engine(postgres_url) as other, writing(other) as connection:
            connection.execute(text(f"SELECT pg_terminate_backend({process}, 5000)"))
        with reading(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_locked_sqlite_file_is_a_passing_trouble(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'metadata.sqlite'}"
    upgrade_at(url)
    with an_engine(url) as engine, an_engine(url) as other, writing(engine):
        event.listen(other, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
        with reading(other) as connection:
            connection.execute(text("SELECT * FROM cubic_loads"))
        with pytest.raises(DatabaseUnavailableError, match="locked"), writing(other):
            pass


def test_a_missing_table_is_no_passing_trouble(empty_database_url: str) -> None:
    with an_engine(empty_database_url) as engine, pytest.raises(Exception, match="cubic_loads") as trouble:
        Ledger(engine).queries.load(1)
    assert not isinstance(trouble.value, DatabaseUnavailableError)


def test_sqlite_checks_references(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'metadata.sqlite'}"
    upgrade_at(url)
    with an_engine(url) as engine, pytest.raises(Exception, match="FOREIGN KEY"), writing(engine) as connection:
        connection.execute(text("INSERT INTO cubic_table_ods_snapshots (table_id) VALUES (1)"))


def test_importing_the_package_touches_no_database_and_imports_no_alembic() -> None:
    code = (
        "import sys, cubic_ingestion.ledger.ledger, cubic_ingestion.ledger.upgrade;"
        "print(sorted({'alembic', 'psycopg', 'sqlite3'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['sqlite3']"
