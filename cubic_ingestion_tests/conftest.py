"""Fixtures that every folder of tests may use."""

from pathlib import Path

import pytest

from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion_tests.builders import a_change_table, a_table, an_ods_table
from cubic_ingestion_tests.depot import Depot

KAFKA_TABLE = Table(
    "cubic__kafka__sample",
    StreamName.KAFKA,
    "cubic/kafka/sample/",
    columns=(Column("event_id", "string"), Column("amount", "decimal128(10, 2)"), Column("rider", "json")),
)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with one table a stream."""
    return Depot.build(tmp_path, [an_ods_table(), a_change_table(), a_table(), KAFKA_TABLE])
