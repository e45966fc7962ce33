"""Ledgers for tests, fresh and cheap: SQLite, and a real PostgreSQL that the tests start themselves.

A conftest imports the fixtures it wants. Each kind is migrated once a process and copied for each test: about a
millisecond on SQLite, twenty on PostgreSQL.
"""

import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import alembic.util
import pytest
from sqlalchemy import Dialect, Engine, event, make_url
from sqlalchemy.pool import Pool
from sqlalchemy.util import LRUCache

from cubic_ingestion.bootstrap import postgres_limits
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.upgrade import NEWEST, upgrade
from cubic_ingestion_tests.builders import DEFAULTS
from local_servers.postgres import run_statements, start_postgres

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]

POSTGRES_LIMITS = postgres_limits(DEFAULTS)

_number = count()


class _Compiled(LRUCache[Any, Any]):
    """Statements that SQLAlchemy compiled, by the class of the dialect rather than by the dialect of one engine."""

    def get(self, key: Any, default: Any = None) -> Any:
        """Find what any engine of the kind compiled."""
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), value)


_compiled = _Compiled(2000)


def _share_what_is_compiled(engine: Engine) -> None:
    """Let the engines of all tests share it: compiling anew takes most tests longer than everything else."""
    engine._compiled_cache = _compiled  # pyright: ignore[reportPrivateUsage] - there is no public way for all engines


Dialect.engine_created = staticmethod(_share_what_is_compiled)


_load_python_file = alembic.util.load_python_file
_load_revision = cache(_load_python_file)


def _load_revisions_once(folder: str, name: str) -> ModuleType:
    """Keep the migrations of Cubic and Dagster: Alembic imports all of them for each database, a hundred for Dagster's.

    An ``env.py`` is what migrates, when it is imported.
    """
    return (_load_python_file if name == "env.py" else _load_revision)(folder, name)


alembic.util.load_python_file = _load_revisions_once


@event.listens_for(Pool, "connect")
def _wait_for_no_disk(connection: object, _record: object) -> None:
    """Let SQLite leave its files to the operating system, which keeps them whatever becomes of the process."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF").close()


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
    with a_database(request.param, tmp_path) as url:
        yield url


@contextmanager
def a_database(kind: str, folder: Path) -> Generator[str]:
    """Make a database with the newest schema and no rows: ``sqlite`` in a folder, or ``postgresql``."""
    if kind == "sqlite":
        (folder / "metadata.sqlite").write_bytes(migrated_sqlite())
        yield f"sqlite:///{folder / 'metadata.sqlite'}"
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
    engine = make_engine(url, POSTGRES_LIMITS)
    try:
        yield engine
    finally:
        engine.dispose()


def upgrade_at(url: str, revision: str = NEWEST) -> None:
    """Upgrade the database at a URL."""
    with an_engine(url) as engine:
        upgrade(engine, revision)


def _create(name: str, template: str = "template0") -> str:
    server = start_postgres()
    run_statements(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _drop(url: str) -> None:
    run_statements(start_postgres(), f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')
