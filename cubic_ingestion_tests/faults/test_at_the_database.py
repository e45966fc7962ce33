"""The faults of the ledger's transactions do what their names say, on SQLite and PostgreSQL."""

from contextlib import suppress

import pytest
from sqlalchemy import Engine, insert, text

from cubic_ingestion.errors import DatabaseUnavailableError
from cubic_ingestion.ledger.engine import reading, writing
from cubic_ingestion.ledger.models import CubicTable
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.databases import database_url, engine
from cubic_ingestion_tests.faults.at_the_database import faults_at_the_database
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan

__all__ = ["database_url", "engine"]

INSERT = "database.insert cubic_tables"


def write(engine: Engine, name: str) -> None:
    """Write a row in a transaction of its own."""
    with writing(engine) as connection:
        row = {"name": name, "s3_prefix": f"{name}/", "is_raw": False, "is_active": True}
        connection.execute(insert(CubicTable), [row | {"inserted_at": NOON, "updated_at": NOON}])


def names(engine: Engine) -> list[str]:
    """Read the rows in a transaction of its own."""
    with reading(engine) as connection:
        return sorted(connection.execute(text("SELECT name FROM cubic_tables")).scalars())


@pytest.mark.parametrize(("fault", "left"), [(Fault.ERROR, ["b"]), (Fault.TIMEOUT, ["a", "b"])])
def test_a_commit_that_fails_leaves_nothing_and_one_whose_answer_is_lost_all(
    engine: Engine, fault: Fault, left: list[str]
) -> None:
    plan = FaultPlan(INSERT, fault)
    with faults_at_the_database(plan):
        with pytest.raises(DatabaseUnavailableError):
            write(engine, "a")
        write(engine, "b")
        assert names(engine) == left
    assert list(plan.calls) == [INSERT, "database.select cubic_tables"]


def test_a_transaction_that_is_rolled_back_or_is_not_ours_is_no_call(engine: Engine) -> None:
    plan = FaultPlan()
    with faults_at_the_database(plan):
        with suppress(KeyError), writing(engine) as connection:
            connection.execute(text("SELECT name FROM cubic_tables"))
            raise KeyError
        with writing(engine) as connection:
            connection.execute(text("SELECT 1"))
    write(engine, "after")

    assert not plan.calls
