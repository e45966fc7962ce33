"""Fixtures of the contract suites."""

import pytest
from sqlalchemy import Engine

from cubic_ingestion.metadata_db.sql_load_repository import SqlLoadRepository
from cubic_ingestion.ports import LoadRepository
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
    "postgres_url",
    "repository",
    "s3",
]


@pytest.fixture
def repository(engine: Engine) -> LoadRepository:
    """Return a repository with the sample tables and no loads, on each database in turn."""
    repository = SqlLoadRepository(engine)
    repository.sync_tables([DMAP, BASE, CHANGES])
    return repository
