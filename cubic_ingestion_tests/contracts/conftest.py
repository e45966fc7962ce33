"""Fixtures of the contract suites."""

import pytest
from sqlalchemy import Engine

from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.contracts.ledgers import BASE, CHANGES, DMAP
from cubic_ingestion_tests.databases import database_url, engine, postgres_url
from cubic_ingestion_tests.glue import database, glue, glue_url
from cubic_ingestion_tests.s3 import s3

__all__ = [
    "database",
    "database_url",
    "engine",
    "glue",
    "glue_url",
    "ledger",
    "postgres_url",
    "s3",
]


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """Return a ledger with the sample tables and no loads, on each database in turn."""
    ledger = Ledger(engine)
    ledger.tables.sync([DMAP, BASE, CHANGES])
    return ledger
