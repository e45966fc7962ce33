"""Debian's PgBouncer before the PostgreSQL of a measurement."""

import os
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from local_servers.environment import free_port

CONNECTS = 100
POOL_SIZE = 20
SERVER_USER = "pgserver"
"""Whom the server runs as under root; nobody else may use its socket."""


@contextmanager
def pooler(server_url: str) -> Generator[int]:
    """Start one in session mode, which takes whatever a client does; gives its port."""
    port = free_port()
    socket = make_url(server_url).query["host"]
    config = f"""
        [databases]
        * = host={socket} user=postgres
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = session
        default_pool_size = {POOL_SIZE}
        max_client_conn = 500
        log_connections = 0
        log_disconnections = 0
        """
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write("\n".join(line.strip() for line in config.splitlines()))
        file.flush()
        Path(file.name).chmod(0o644)
        who = ["-u", SERVER_USER] if os.getuid() == 0 else []
        process = subprocess.Popen(["pgbouncer", "-q", *who, file.name], stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


def through(url: str, port: int) -> str:
    """Lead the URL of a database through the pooler."""
    led = make_url(url).set(host="127.0.0.1", port=port, username="postgres", query={})
    return led.render_as_string(hide_password=False)


def connect_ms(url: str) -> float:
    """Return what a connection costs until its first answer, on a server with nothing else to do."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    started = time.monotonic()
    for _ in range(CONNECTS):
        with psycopg.connect(plain) as connection:
            connection.execute("SELECT 1")
    return (time.monotonic() - started) / CONNECTS * 1000
