"""Fixtures of the DMAP fetcher's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cubic_ingestion.fake_vendor import FakeVendor
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.dmap.fetches import FEED, close_clients


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    """A vendor that has published nothing."""
    with FakeVendor() as vendor:
        yield vendor
        close_clients()


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """An empty depot with the sample feed's table."""
    return Depot.build(tmp_path, [FEED.table])
