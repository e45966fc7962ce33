"""The batcher's ledger on a PostgreSQL that throws every call out once: the batcher notices nothing."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import cast

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event

from cubic_ingestion.domain.batch import Advance, Batch, Part, Position
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.shards import Shards

pytestmark = pytest.mark.postgres

SHARD = ("fares", "shardId-000000000000")
NOW = datetime.now(UTC)
PART = Part("open/1", Position(1), 1, 10)
OPEN = Batch("taps", Position(1), Position(1), 1, 10, NOW, parts=(PART,))
CUT = Batch("taps", Position(1), Position(1), 1, 10, NOW, "taps/a.json", (PART,))


class Intruder:
    """Ends a connection just before a statement that is sent on it, once each time it is armed."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.is_armed = False
        self._url = url
        event.listen(engine, "before_cursor_execute", self._end)

    def _end(self, connection: Connection, *_: object) -> None:
        if self.is_armed:
            self.is_armed = False
            pid = cast("psycopg.Connection", connection.connection.dbapi_connection).info.backend_pid
            with psycopg.connect(self._url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def calls(shards: Shards) -> Mapping[str, Callable[[], object]]:
    """Return one call of each method, in an order that makes sense."""
    advance = partial(shards.advance, *SHARD, "one", Advance("1", NOW, 0), now=NOW)
    return {
        "lease": lambda: shards.lease(*SHARD, "one", now=NOW, expires_at=NOW),
        "leases": lambda: shards.leases("fares"),
        "renew": lambda: shards.renew("fares", "one", NOW),
        "ask_for": lambda: shards.ask_for(*SHARD, "two"),
        "advance with an open batch": lambda: advance(written=[], still_open=[OPEN]),
        "cut": lambda: shards.cut(*SHARD, "one", [CUT], NOW),
        "advance with a written batch": lambda: advance(written=[CUT], still_open=[]),
        "forget_parts": lambda: shards.forget_parts([PART.key]),
        "release": lambda: shards.release(*SHARD, "one"),
    }


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_batcher_s_ledger_goes_on_though_every_call_loses_its_connection(engine: Engine, postgres_url: str) -> None:
    shards, intruder = Ledger(engine, retry_seconds=10).shards, Intruder(engine, postgres_url)
    disturbed: list[str] = []
    for name, call in calls(shards).items():
        intruder.is_armed = True
        call()
        disturbed += [] if intruder.is_armed else [name]

    assert disturbed == list(calls(shards))
    assert shards.leases("fares")[SHARD[1]].owner is None
    state = shards.lease(*SHARD, "two", now=NOW, expires_at=NOW)
    assert state is not None
    assert (state.checkpoint, list(state.batches), list(state.spent_keys)) == ("1", [], [])
