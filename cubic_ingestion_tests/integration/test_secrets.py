"""A planted secret is looked for in everything that was written: output, logs, events, metadata, whole homes."""

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import make_url

from cubic_ingestion.bootstrap import SharedPlatform, build
from cubic_ingestion.defs import build_definitions
from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion.errors import CubicIngestionError, DatabaseUnavailableError, SettingsError
from cubic_ingestion.settings import read_settings
from cubic_ingestion.tables import SHIPPED, load_tables
from cubic_ingestion_tests.homes import AT_THREE, enter
from local_servers.environment import clean_environment
from local_servers.postgres import start_postgres

MARK = "Pl4nted"
SECRET = f"{MARK}/S3cret@"
"""Has to be percent-encoded in a URL; either form has the mark."""
UNREACHABLE = f"postgresql://keeper:{quote(SECRET, safe='')}@127.0.0.1:1/cubic"
AWS = dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), SECRET)
COMMAND = Path(sys.executable).parent / "cubic"
HEADER = "sample_id,sample_name,sample_count\n"


def cubic(folder: Path, *arguments: str, database_url: str) -> tuple[int, str]:
    """Run ``cubic`` as people do, with secrets in its environment; returns its exit code and all it wrote."""
    planted = {**AWS, "CUBIC_DATABASE_URL": database_url, "CUBIC_SETTLE_SECONDS": "0", "CUBIC_HOME": ".cubic"}
    ended = subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env=clean_environment() | planted,
        check=False,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout + ended.stderr


def leaks(folder: Path) -> list[str]:
    """Return the files that hold the secret, or a path that does."""
    mark = MARK.encode()
    paths = folder.rglob("*")
    return [str(path) for path in paths if mark in os.fsencode(path) or (path.is_file() and mark in path.read_bytes())]


@pytest.fixture(scope="module")
def keepers_url() -> Iterator[str]:
    """URL of a database whose owner has to give the secret; PostgreSQL checks it."""
    url = make_url(start_postgres())
    plain = url.render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        [(hba_file,)] = connection.execute("SHOW hba_file").fetchall()
        rules = Path(hba_file).read_text()
        Path(hba_file).write_text(f"local all keeper scram-sha-256\nhost all keeper all scram-sha-256\n{rules}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{SECRET}'".encode())
        connection.execute("CREATE DATABASE kept OWNER keeper")
    yield url.set(username="keeper", password=SECRET, database="kept").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("DROP DATABASE kept WITH (FORCE)")
        connection.execute("DROP ROLE keeper")
        Path(hba_file).write_text(rules)
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.slow
@pytest.mark.parametrize("command", [("status",), ("ingest", "--json"), ("db", "upgrade")], ids=" ".join)
def test_a_database_that_cannot_be_reached_tells_no_secret(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, written = cubic(tmp_path, *command, database_url=UNREACHABLE)
    assert (code, "could not be reached" in written) == (2, True)
    assert MARK not in written
    assert leaks(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{MARK}@host/db",
        MARK,
        f"postgresql://me:{MARK}@host:port/db",
        f"postgresql+psycopg2://me:{MARK}@host/db",
    ],
)
def test_a_database_url_that_cannot_be_used_is_refused_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("CUBIC_DATABASE_URL", url)
    with pytest.raises(SettingsError, match="CUBIC_DATABASE_URL") as refused:
        build(read_settings())
    assert MARK not in "".join(traceback.format_exception(refused.value))


@pytest.mark.slow
@pytest.mark.postgres
def test_a_wrong_password_is_refused_without_being_told(tmp_path: Path, keepers_url: str) -> None:
    wrong = make_url(keepers_url).set(password=SECRET + "2").render_as_string(hide_password=False)
    code, written = cubic(tmp_path, "status", database_url=wrong)
    assert (code, "password authentication failed" in written) == (2, True)
    assert MARK not in written
    assert leaks(tmp_path) == []


@pytest.mark.slow
@pytest.mark.postgres
def test_nothing_that_a_whole_ingest_writes_holds_a_secret(tmp_path: Path, keepers_url: str) -> None:
    incoming = tmp_path / ".cubic" / "incoming" / "cubic" / "dmap" / "agg_sample"
    incoming.mkdir(parents=True)
    (incoming / "20220401.csv").write_text(HEADER + "1,a,5\n")
    (incoming / "20220402.csv").write_text(HEADER + "1,a,many\n")
    expected = {("db", "upgrade"): 0, ("ingest",): 1, ("status",): 0, ("loads", "show", "2"): 0}
    for command, exit_code in expected.items():
        code, written = cubic(tmp_path, *command, database_url=keepers_url)
        assert (command, code) == (command, exit_code), written
        assert MARK not in written
    events = list((tmp_path / ".cubic" / "dagster" / "history").rglob("*.db"))
    assert len(events) > 1
    assert any((tmp_path / ".cubic" / "dagster" / "compute_logs").rglob("*.err"))
    assert any(tmp_path.rglob("*.parquet"))
    assert leaks(tmp_path) == []


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose environment is full of secrets."""
    home = enter(tmp_path, monkeypatch)
    for name, value in {**AWS, "CUBIC_DATABASE_URL": UNREACHABLE}.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.mark.usefixtures("planted")
def test_no_error_on_the_way_to_the_database_tells_the_secret() -> None:
    with pytest.raises(DatabaseUnavailableError) as trouble:
        build(read_settings())
    told = "".join(traceback.format_exception(trouble.value))
    assert "127.0.0.1" in told
    assert MARK not in told


@pytest.mark.usefixtures("planted")
def test_what_definitions_show_holds_no_secret() -> None:
    definitions = build_definitions(load_tables(None), SharedPlatform().get, AT_THREE)
    shown = [repr(definitions), *map(repr, definitions.resolve_all_asset_specs())]
    shown += [repr(vars(resource)) for resource in (definitions.resources or {}).values()]
    assert len(shown) > len(list(SHIPPED.glob("*.toml")))
    assert MARK not in "".join(shown)


def test_a_platform_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    with build(read_settings()) as platform:
        assert MARK not in repr(platform)
    assert MARK not in repr([vars(platform.ledger), platform.stores])
    assert MARK not in repr(CubicIngestionError(repr(platform)))


def test_a_failing_run_leaves_no_secret_in_dagsters_event_log(planted: Path) -> None:
    table = next(iter(load_tables(None).values()))
    definitions = build_definitions({table.name: table}, SharedPlatform().get, AT_THREE)
    job = definitions.resolve_implicit_global_asset_job_def()
    with dagster_instance(read_settings()) as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key(table)],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        records = instance.all_logs(result.run_id)
    assert not result.success
    assert any("could not be reached" in repr(record) for record in records)
    assert MARK not in repr(records)
    assert leaks(planted) == []
