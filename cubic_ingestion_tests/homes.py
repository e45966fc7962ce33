"""A home as the settings make it, for tests of what reads them: Dagster's layer and the command line."""

import os
from contextlib import ExitStack
from datetime import time
from pathlib import Path

import pytest

from cubic_ingestion.bootstrap import build
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.builders import a_dfm, csv_gz
from cubic_ingestion_tests.databases import migrated_sqlite
from cubic_ingestion_tests.depot import Depot, StoppedClock
from local_servers.environment import clean_environment

BASE = "cubic/ods_qlik/EDW.SAMPLE/"
CHANGES = "cubic/ods_qlik/EDW.SAMPLE__ct/"
DMAP = "cubic/dmap/agg_sample/"
KAFKA = "cubic/kafka/sample/"
AT_THREE = time(15)
"""When DMAP is fetched, for definitions in which it does not matter."""

_OPENED = ExitStack()


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with no settings made, so that the home is ``.cubic`` in it; returns the home."""
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CUBIC_HOME", str(folder / ".cubic"))
    monkeypatch.setenv("CUBIC_SETTLE_SECONDS", "0")
    return folder / ".cubic"


def depot_of(home: Path) -> Depot:
    """Return the depot of the home that the environment names."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "metadata.sqlite").exists():
        (home / "metadata.sqlite").write_bytes(migrated_sqlite())
    return Depot(home, _OPENED.enter_context(build(read_settings())), StoppedClock())


def close_depots() -> None:
    """Close the connections of all depots that ``depot_of`` has returned; one that is used later opens others."""
    _OPENED.close()


def put_dmap(depot: Depot, name: str, text: str = "1,a,5\n") -> Path:
    """Let a DMAP file of the sample table land."""
    return depot.put(DMAP + name, f"sample_id,sample_name,sample_count\n{text}".encode())


def put_kafka(depot: Depot, name: str, event_id: str = "e") -> Path:
    """Let a Kafka batch of one record land."""
    return depot.put(KAFKA + name, f'{{"event_id": "{event_id}"}}\n'.encode())


def put_ods(depot: Depot, key: str, *, started_at: str = "", n_rows: int = 1) -> Path:
    """Let an ODS file of one record land, with its sidecar."""
    depot.put(key.removesuffix(".csv.gz") + ".dfm", a_dfm(record_count=n_rows, started_at=started_at))
    return depot.put(key, csv_gz("SAMPLE_ID,SAMPLE_NAME\n1,a"))
