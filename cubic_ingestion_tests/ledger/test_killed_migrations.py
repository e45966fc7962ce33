"""Migrations whose process is killed before any one of their statements: whoever runs them again ends where they do."""

from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from cubic_ingestion.domain.table import Column, ColumnRoles
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.upgrade import current_revision, downgrade, upgrade
from cubic_ingestion_tests.contracts.ledgers import BASE, CHANGES, DMAP, an_ingested, claim, ready
from cubic_ingestion_tests.databases import an_engine
from cubic_ingestion_tests.ledger.kills import killed

BELOW, ABOVE = "0008", "0009"
COLUMNS = (Column("id", "int64", source_type="INT4"), Column("header__change_seq", "string"))
KEYED = ColumnRoles(("id",), ("header__change_seq",))


@pytest.mark.slow
def test_column_roles_survive_a_kill_before_any_statement_on_the_way_down_and_up(database_url: str) -> None:
    with an_engine(database_url) as engine:
        _fill(engine)
        downgrade(engine, ABOVE)
        before = _rows(engine)
        is_killed, n = True, 0
        while is_killed:
            n += 1
            downs = killed(database_url, n, lambda engine: downgrade(engine, BELOW))
            assert current_revision(engine) in {BELOW, ABOVE}
            downgrade(engine, BELOW)
            assert {key: row[:-2] for key, row in _rows(engine).items()} == {
                key: row[:-2] for key, row in before.items()
            }
            ups = killed(database_url, n, lambda engine: upgrade(engine, ABOVE))
            assert current_revision(engine) in {BELOW, ABOVE}
            upgrade(engine, ABOVE)
            assert _rows(engine) == before
            is_killed = downs or ups
        assert n > 2


def _fill(engine: Engine) -> None:
    """Record schemas with a key, with none, and of files without a sidecar."""
    ledger = Ledger(engine)
    ledger.tables.sync([BASE, CHANGES, DMAP])
    loads = ready(ledger, "a.csv", "b.csv", "c.csv")
    claim(ledger)
    schemas = (KEYED, ColumnRoles(), None)
    ledger.outcomes.complete_ingest(
        "run-1/a", [an_ingested(load, columns=COLUMNS, roles=roles) for load, roles in zip(loads, schemas, strict=True)]
    )


def _rows(engine: Engine) -> dict[int, tuple[Any, ...]]:
    """Return the schemas on record by id; the roles are the last two values of each."""
    is_old = "primary_key" not in {column["name"] for column in inspect(engine).get_columns("cubic_table_schemas")}
    roles = "NULL, NULL" if is_old else "primary_key, header_columns"
    with engine.connect() as connection:
        statement = text(f"SELECT id, table_id, fingerprint, columns, {roles} FROM cubic_table_schemas")
        return {row[0]: tuple(row) for row in connection.execute(statement)}
