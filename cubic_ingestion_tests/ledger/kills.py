"""Migrations in a process that is killed."""

import os
import signal
from collections.abc import Callable
from itertools import count

from sqlalchemy import Engine, event

from cubic_ingestion_tests.databases import an_engine

Migration = Callable[[Engine], None]


def killed(url: str, at: int, migrate: Migration) -> bool:
    """Migrate in a process that is killed before a statement, by number; returns False if it has fewer."""
    child = os.fork()
    if not child:
        statements = count(1)

        def kill_at(*_: object) -> None:
            if next(statements) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with an_engine(url) as engine:
                event.listen(engine, "before_cursor_execute", kill_at)
                migrate(engine)
        except BaseException:  # noqa: BLE001 - never back into pytest
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
