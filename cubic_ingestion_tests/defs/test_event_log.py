"""Dagster's event log on PostgreSQL, as production has it: what is written past its public interface is shown."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest
import yaml

from cubic_ingestion.defs import event_log
from cubic_ingestion.defs.event_log import report_attempt, report_without_run
from cubic_ingestion.defs.translator import asset_key
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.databases import postgres_url
from cubic_ingestion_tests.defs.runs import shown

__all__ = ["postgres_url"]

pytestmark = pytest.mark.postgres
DAYS = ["2022-03-04", "2022-03-05", "2022-03-06"]


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose storage is a database of its own."""
    server = urlsplit(postgres_url.replace("postgresql+psycopg", "postgresql"))
    with psycopg.connect(server.geturl(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS dagster_events")
        connection.execute("CREATE DATABASE dagster_events")
    url = server._replace(scheme="postgresql+psycopg2", path="/dagster_events").geturl()
    config = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_many_materialisations_and_a_failed_attempt_show_on_postgres(on_postgres: dg.DagsterInstance) -> None:
    table = a_table()
    events = [dg.AssetMaterialization(asset_key(table), partition=day, metadata={"loads": 1}) for day in DAYS[:2]]

    report_without_run(on_postgres, events)
    report_attempt(on_postgres, table, DAYS[1:], "Load 1 was rejected: bad_value: It is bad.")

    assert shown(on_postgres, table, DAYS) == ["MATERIALIZED", "FAILED", "FAILED"]
    assert set(event_log.shown(on_postgres, table, DAYS)) == {DAYS[0]}
    assert len(on_postgres.fetch_materializations(asset_key(table), limit=10).records) == 2
    report_without_run(on_postgres, events[1:])
    assert shown(on_postgres, table, DAYS) == ["MATERIALIZED", "MATERIALIZED", "FAILED"]
    assert set(event_log.shown(on_postgres, table, DAYS)) == set(DAYS[:2])
