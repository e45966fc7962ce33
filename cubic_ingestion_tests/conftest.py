"""Fixtures that every folder of tests may use."""

import gc
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from cubic_ingestion.domain.table import Column, StreamName, Table
from cubic_ingestion_tests.budget import pytest_runtest_call
from cubic_ingestion_tests.builders import a_change_table, a_table, an_ods_table
from cubic_ingestion_tests.depot import Depot

__all__ = ["depot", "pytest_collection_modifyitems", "pytest_runtest_call", "pytest_xdist_make_scheduler"]

TESTS = Path(__file__).parent
ORDER = ("integration", "", "deployment", "faults")
"""Rooms in the order of their tests; the empty name stands for all others.

Those whose servers take long come first, and not both at once. Last comes what any worker can do, one by one, so that
all end at the same time.
"""
TOGETHER, ONE_BY_ONE = ("integration", "deployment"), ("faults",)
"""Rooms that one worker does, since their tests share servers, and rooms whose tests share nothing."""

KAFKA_TABLE = Table(
    "cubic__kafka__sample",
    StreamName.KAFKA,
    "cubic/kafka/sample/",
    columns=(Column("event_id", "string"), Column("amount", "decimal128(10, 2)"), Column("rider", "json")),
)


settings.register_profile("house", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("house")


def pytest_configure() -> None:
    """Have tracebacks logged plainly: with the values of all variables, as by default, each takes half a second."""
    *processors, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, plain])


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all that was imported and collected, again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let it, at the end, go through everything: DuckDB names what is left over."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order."""
    items.sort(key=lambda item: ORDER.index(_room(item.nodeid) if _room(item.nodeid) in ORDER else ""))


class Rooms(LoadScopeScheduling):
    """Deals out the tests in their order: by room, by module or one by one, to a worker that has none left."""

    def _split_scope(self, nodeid: str) -> str:
        """Name the tests that stay on one worker, which makes their fixtures once."""
        room = _room(nodeid)
        if room in ONE_BY_ONE:
            return nodeid
        return room if room in TOGETHER else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Rooms:
    """Have xdist deal them out so, and not the largest modules first."""
    config.option.loadscopereorder = False
    return Rooms(config, log)


def _room(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix(f"{TESTS.name}/").partition("/")[0]


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """A depot with one table a stream."""
    return Depot.build(tmp_path, [an_ods_table(), a_change_table(), a_table(), KAFKA_TABLE])
