"""The SQL that the pages show runs on both databases, and finds what it says."""

import re
from pathlib import Path

from sqlalchemy import Engine, text

from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion_tests.builders import a_table
from cubic_ingestion_tests.contracts.ledgers import archived

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")


def test_the_queries_of_the_change_feed_find_the_steps_and_changes_of_a_load(engine: Engine) -> None:
    ledger = Ledger(engine)
    ledger.tables.sync([a_table()])
    (load,) = archived(ledger, "a.csv")
    steps, changes = (each for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) for each in _statements(block))

    with engine.connect() as connection:
        found = connection.execute(text(steps.replace("load_id = 7", f"load_id = {load.id}"))).all()
        assert "archived" in {row.step for row in found}
        assert [tuple(row)[:2] for row in connection.execute(text(changes))] == [(load.table, "published")]


def _statements(block: str) -> list[str]:
    return [each for each in re.sub(r"--.*", "", block).split(";") if each.strip()]
