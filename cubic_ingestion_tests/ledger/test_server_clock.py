"""The clock of the PostgreSQL server, on a real one; and which clock a platform gets."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from cubic_ingestion.errors import DatabaseUnavailableError
from cubic_ingestion.ledger.server_clock import REFRESH_SECONDS, ServerClock, shared_clock
from cubic_ingestion.settings import SystemClock
from cubic_ingestion_tests.databases import an_engine
from local_servers.environment import clean_environment

SECOND = timedelta(seconds=1)


class Elapsed:
    """A monotonic clock that moves when it is told to."""

    seconds = 5.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed() -> Elapsed:
    """A stopped one."""
    return Elapsed()


def test_only_a_server_has_a_clock_that_all_share(engine: Engine) -> None:
    machine_clock = SystemClock()
    is_server = engine.dialect.name == "postgresql"
    clock = shared_clock(engine, machine_clock)
    assert isinstance(clock, ServerClock) if is_server else clock is machine_clock
    assert abs(clock.now() - datetime.now(UTC)) < 5 * SECOND
    assert clock.now().tzinfo is UTC


@pytest.mark.postgres
def test_it_is_the_servers_time_carried_on_by_what_has_passed_since(postgres_url: str, elapsed: Elapsed) -> None:
    with an_engine(postgres_url) as engine:
        clock = ServerClock(engine, elapsed=elapsed)
        first = clock.now()
        with engine.connect() as connection:
            asked = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        assert timedelta(0) <= asked - first < 5 * SECOND
        elapsed.seconds += REFRESH_SECONDS - 1
        assert clock.now() == first + timedelta(seconds=REFRESH_SECONDS - 1)


@pytest.mark.postgres
def test_the_server_is_asked_again_once_a_minute(postgres_url: str, elapsed: Elapsed) -> None:
    with an_engine(postgres_url) as engine:
        clock = ServerClock(engine, elapsed=elapsed)
        first = clock.now()
        elapsed.seconds += REFRESH_SECONDS
        second = clock.now()
        assert second - first < timedelta(seconds=REFRESH_SECONDS / 2)  # the server's clock did not move by a minute
        assert clock.now() == second


@pytest.mark.postgres
def test_a_server_that_has_never_answered_is_trouble_that_may_pass() -> None:
    with an_engine("postgresql://nobody@127.0.0.1:1/nothing") as nowhere, pytest.raises(DatabaseUnavailableError):
        ServerClock(nowhere, retry_seconds=0.1).now()


@pytest.mark.postgres
def test_a_server_that_is_away_is_bridged_once_it_has_answered(postgres_url: str, elapsed: Elapsed) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("CREATE DATABASE that_goes_away")
        with an_engine(make_url(postgres_url).set(database="that_goes_away").render_as_string()) as engine:
            clock = ServerClock(engine, elapsed=elapsed)
            first = clock.now()
            server.execute("DROP DATABASE that_goes_away WITH (FORCE)")
            elapsed.seconds += 2 * REFRESH_SECONDS
            assert clock.now() == first + timedelta(seconds=2 * REFRESH_SECONDS)


_A_DAY_AHEAD = """
from datetime import timedelta
from cubic_ingestion.settings import SystemClock
right = SystemClock.now
SystemClock.now = lambda clock: right(clock) + timedelta(days=1)

from cubic_ingestion.bootstrap import build
from cubic_ingestion.settings import read_settings
platform = build(read_settings())
for moment in (*platform.claim_term(), platform.clock.now(), platform.file_clock.now()):
    print(moment.isoformat())
"""


@pytest.mark.slow
def test_a_machine_whose_clock_is_a_day_ahead_claims_by_the_servers_and_judges_files_by_its_own(
    database_url: str, tmp_path: Path
) -> None:
    environment = clean_environment() | {"CUBIC_HOME": str(tmp_path / ".cubic"), "CUBIC_DATABASE_URL": database_url}
    told = subprocess.run(
        [sys.executable, "-c", _A_DAY_AHEAD], env=environment, capture_output=True, text=True, check=True
    ).stdout
    begins_at, ends_at, watched_at, of_files = map(datetime.fromisoformat, told.split())

    ahead = timedelta(days=1) if database_url.startswith("sqlite") else timedelta(0)
    for moment in (begins_at, watched_at):
        assert abs(moment - datetime.now(UTC) - ahead) < timedelta(minutes=5)
    assert ends_at - begins_at == timedelta(minutes=15)
    assert abs(of_files - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=5)
