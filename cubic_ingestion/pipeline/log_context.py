"""Log context: while a load is worked on, every line that is logged says which load, table, stream and run it is of."""

from collections.abc import Generator
from contextlib import contextmanager

import structlog

from cubic_ingestion.domain.load import Load
from cubic_ingestion.domain.table import Table


@contextmanager
def about(table: Table, load: Load, claimant: str = "") -> Generator[None]:
    """Bind the ids of one load.

    Args:
        table: Its table.
        load: The load.
        claimant: Who holds it; begins with the run's id. Empty if nobody does.
    """
    ids = {"load_id": load.id, "table": table.name, "stream": table.stream.value, "key": load.version.key}
    if claimant:
        ids["run_id"] = claimant.partition("/")[0]
    with structlog.contextvars.bound_contextvars(**ids):
        yield
