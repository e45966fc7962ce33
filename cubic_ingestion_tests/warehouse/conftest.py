"""Warehouses for tests, one per kind of catalog."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cubic_ingestion.ports import Warehouse
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion.warehouse import open_in_database
from cubic_ingestion_tests.databases import a_database, an_engine
from cubic_ingestion_tests.glue import database, glue, glue_url
from cubic_ingestion_tests.warehouse.warehouses import Opening, in_glue

__all__ = ["database", "glue", "glue_url"]

KINDS = [
    "sqlite",
    pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.slow]),
    pytest.param("glue", marks=pytest.mark.slow),
]


@pytest.fixture(params=KINDS)
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    """Return what opens one and the same warehouse, as each process does, on each kind of catalog in turn."""
    if request.param == "glue":
        yield in_glue(request.getfixturevalue("glue"), request.getfixturevalue("database"))
        return
    with a_database(request.param, tmp_path) as url, an_engine(url) as engine:
        yield partial(open_in_database, LocalObjectStore(tmp_path / "ware house"), engine)


@pytest.fixture
def warehouse(opening: Opening) -> Warehouse:
    """An empty warehouse, on each kind of catalog in turn."""
    return opening()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse in a folder, with its catalog in SQLite."""
    with a_database("sqlite", tmp_path) as url, an_engine(url) as engine:
        yield open_in_database(LocalObjectStore(tmp_path / "warehouse"), engine)
