"""``make workers``: loads a minute with 1, 2 and 4 Celery workers, in the configuration of production.

PostgreSQL, Redis, code server, daemon and workers are processes of this machine, and so is moto's server, which stands
for S3 and Glue; with ``--folders`` the buckets are folders, so that workers wait for no moto. Every number of workers
gets the same files, which lie in Incoming before the sensors start. Counted is from the first load registered to the
last one archived. Told with it is what a connection pooler could save: how many connections stood at once at most, how
many were opened, and what opening one costs here.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.session import Session
from botocore.exceptions import EndpointConnectionError

from benchmarks.pooler import connect_ms, pooler, through
from benchmarks.small_files import generate
from cubic_ingestion.settings import BUCKETS
from local_servers.environment import free_port
from local_servers.postgres import make_database, start_postgres
from local_servers.production import Production, prepare

BUCKET = "benchmark"
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
ENOUGH_SECONDS = 1800
DATABASES = {"CUBIC_DATABASE_URL": "ledger", "DAGSTER_POSTGRES_URL": "Dagster"}
CONNECTED = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
OPENED = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


def main(arguments: Sequence[str]) -> int:
    """Measure each number of workers, and print."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended too
    where = _zones(options) + ", a pooler" * options.pooler
    print(f"{os.cpu_count()} cores, {options.tables} tables, {options.files} files each, {where}", flush=True)
    first = 0.0
    for n_workers in options.workers:
        with (
            tempfile.TemporaryDirectory(prefix="cubic-workers-") as folder,
            _moto() as url,
            _dagster(options) as dagster,
        ):
            measured = _measure(Path(folder), n_workers, url, dagster, options)
        rate = measured.n_loads / measured.seconds * 60
        first = first or rate
        told = f"{n_workers} workers: {measured.n_loads} loads in {measured.seconds:.1f} s, {rate:,.0f} loads/min"
        print(f"{told}, {rate / first:.2f} of the first; {measured.n_runs} runs", flush=True)
        print(f"  connections: {measured.connections}; one to Dagster's costs {measured.connect_ms:.1f} ms", flush=True)
    return 0


@dataclass(frozen=True)
class _Measured:
    """What became of the files with one number of workers."""

    n_loads: int
    seconds: float
    n_runs: int
    connections: str
    connect_ms: float


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make workers", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="numbers of workers")
    parser.add_argument("--tables", type=int, default=30, help="tables, of all streams")
    parser.add_argument("--files", type=int, default=30, help="files a table")
    parser.add_argument("--loads-per-run", type=int, default=10, help="loads that a table brings into a run")
    parser.add_argument("--folders", action="store_true", help="buckets are folders, and the catalog DuckDB")
    parser.add_argument("--pooler", action="store_true", help="Debian's PgBouncer stands before Dagster's database")
    return parser.parse_args(arguments)


def _zones(options: argparse.Namespace) -> str:
    return "folders" if options.folders else "S3 and Glue over HTTP"


@contextmanager
def _moto() -> Generator[str]:
    """Start moto's server as a process; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def _dagster(options: argparse.Namespace) -> Generator[str]:
    """Make Dagster's database; gives its URL."""
    url = make_database(start_postgres(), "dagster", "postgresql+psycopg2")
    if options.pooler:
        with pooler(start_postgres()) as port:
            yield through(url, port)
    else:
        yield url


def _measure(folder: Path, n_workers: int, url: str, dagster: str, options: argparse.Namespace) -> _Measured:
    """Bring the files to Archive."""
    generate(folder, options.tables, options.files)
    client = _client(url)
    settings = {
        "CUBIC_TABLES_DIR": str(folder / "tables"),
        "CUBIC_DATABASE_URL": make_database(start_postgres(), "cubic", "postgresql+psycopg"),
        "CUBIC_MAX_LOADS_PER_RUN": str(options.loads_per_run),
        "CUBIC_S3_ADDRESSING_STYLE": "path",
        "CUBIC_CATALOG": "duckdb" if options.folders else "glue",
        "DAGSTER_POSTGRES_URL": dagster,
        "DAGSTER_COMPUTE_LOGS_BUCKET": BUCKET,
        "DAGSTER_COMPUTE_LOGS_PREFIX": "dagster",
        "AWS_ENDPOINT_URL": url,
    }
    root = str(folder / "zones") if options.folders else f"s3://{BUCKET}"
    zones = {f"CUBIC_{zone.upper()}_URL": f"{root}/{zone}" for zone in BUCKETS}
    production = prepare(folder, AWS | settings | zones)
    names = [f"worker-{number}" for number in range(n_workers)]
    try:
        production.start_broker()
        for name in names:
            production.start_worker(name)
        n_loads = _deliver(folder, client, is_local=options.folders)
        production.start_dagster()
        most: Counter[str] = Counter()
        production.wait_until(lambda: _ended(production, most) == n_loads, "all loads are archived", ENOUGH_SECONDS)
        ((seconds,),) = production.query(
            "SELECT extract(epoch FROM max(updated_at) - min(inserted_at)) FROM cubic_loads"
        )
        ((n_runs,),) = production.query("SELECT count(*) FROM runs", "DAGSTER_POSTGRES_URL")
        connections = ", ".join(f"{name} {n} at most, {_opened(production, name)} opened" for name, n in most.items())
    finally:
        production.kill_all()
    return _Measured(n_loads, float(seconds), n_runs, connections, connect_ms(dagster))


def _client(url: str) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
    """Wait for moto's server, and make the bucket."""
    client = Session(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"]).client(
        "s3", endpoint_url=url, region_name=AWS["AWS_DEFAULT_REGION"]
    )
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
        except EndpointConnectionError:
            time.sleep(0.2)
        else:
            return client


def _deliver(folder: Path, client: Any, *, is_local: bool) -> int:  # noqa: ANN401 - as above
    """Put the files into Incoming; returns the number of loads."""
    files = folder / "files"
    paths = [path for path in files.rglob("*") if path.is_file()]
    if is_local:
        (folder / "zones").mkdir()
        files.rename(folder / "zones" / "incoming")
    else:
        for path in paths:
            client.put_object(Bucket=BUCKET, Key=f"incoming/{path.relative_to(files)}", Body=path.read_bytes())
    return sum(path.suffix != ".dfm" for path in paths)


def _ended(production: Production, most: "Counter[str]") -> int:
    """Count loads that have come to an end, and note the connections of each database."""
    time.sleep(0.5)
    for variable, name in DATABASES.items():
        ((number,),) = production.query(CONNECTED, variable)
        most[name] = max(most[name], number)
    ((number,),) = production.query("SELECT count(*) FROM cubic_loads WHERE status IN ('archived', 'errored')")
    return number


def _opened(production: Production, name: str) -> int:
    (variable,) = [variable for variable, each in DATABASES.items() if each == name]
    ((number,),) = production.query(OPENED, variable)
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
