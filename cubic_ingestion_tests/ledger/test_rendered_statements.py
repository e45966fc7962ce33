"""What is asked for every load is rendered once: SQLAlchemy keeps the text of a statement, if it can compare it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import CacheStats

from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.upgrade import upgrade
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import DMAP, an_ingested, claim, place, register
from cubic_ingestion_tests.databases import an_engine


def test_bringing_a_second_load_to_its_end_renders_no_statement_anew() -> None:
    with an_engine("sqlite://") as shared:
        upgrade(shared)
        engine = shared.execution_options(compiled_cache={})  # nothing is rendered yet, whatever other tests asked
        ledger = Ledger(engine)
        ledger.tables.sync([DMAP])
        # An upsert is always rendered anew; there is one for each page of a listing.
        register(ledger, "first")
        with rendered(engine) as of_the_first:
            bring_to_its_end(ledger)
        register(ledger, "second")
        with rendered(engine) as of_the_second:
            bring_to_its_end(ledger)

    assert of_the_first
    assert of_the_second == []


def bring_to_its_end(ledger: Ledger) -> None:
    """Plan, ingest and archive what was registered, as a run does."""
    place(ledger, ledger.plans.unplanned([DMAP.name], NOON, 10))
    ledger.claims.holders()
    held = claim(ledger)
    ledger.claims.count_tries("run-1/a", held)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load) for load in held])
    moving = claim(ledger, Work.ARCHIVE)
    ledger.outcomes.complete_archive("run-1/a", {load.id: f"archive/{load.version.key}" for load in moving})


@contextmanager
def rendered(engine: Engine) -> Generator[list[str]]:
    """Note the statements that are rendered meanwhile."""
    statements: list[str] = []

    def note(
        _connection: object, _cursor: object, statement: str, _parameters: object, context: Any, _many: object
    ) -> None:
        if context.compiled and context.cache_hit is not CacheStats.CACHE_HIT:
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)
