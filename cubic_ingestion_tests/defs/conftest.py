"""The sample tables' definitions on a home of their own, and an instance that keeps nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from cubic_ingestion.bootstrap import SharedPlatform
from cubic_ingestion.defs import build_definitions
from cubic_ingestion.domain.table import Table
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.homes import AT_THREE, close_depots, depot_of, enter

BASE_TABLE = "cubic__ods_qlik__edw_sample"
CHANGE_TABLE = "cubic__ods_qlik__edw_sample__ct"
DMAP_TABLE = "cubic__dmap__agg_sample"
KAFKA_TABLE = "cubic__kafka__sample"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home that the environment names."""
    yield enter(tmp_path, monkeypatch)
    close_depots()


@pytest.fixture
def depot(home: Path) -> Depot:
    """The depot in the home."""
    return depot_of(home)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def tables(depot: Depot) -> Mapping[str, Table]:
    """The sample tables by name."""
    names = (BASE_TABLE, CHANGE_TABLE, DMAP_TABLE, KAFKA_TABLE)
    return {name: depot.platform.tables[name] for name in names}


@pytest.fixture
def shared() -> Iterator[SharedPlatform]:
    """The platform that Dagster's resources get; it is built on first use, by the environment of that moment."""
    shared = SharedPlatform()
    yield shared
    shared.close()


@pytest.fixture
def definitions(tables: Mapping[str, Table], shared: SharedPlatform) -> dg.Definitions:
    """The sample tables' definitions."""
    return build_definitions(tables, shared.get, AT_THREE)
