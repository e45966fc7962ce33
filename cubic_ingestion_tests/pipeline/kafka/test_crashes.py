"""Killed between any two steps, any number of times: each record is in one file, and no file has two contents."""

import json
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.ports import ObjectStore, ObjectWriter, Stores
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.kafka.memory_stream import (
    FIRST,
    MemoryStream,
    a_batcher,
    a_depot,
    dead_letters,
    numbers,
    records_of,
)

SECOND = "shardId-000000000001"


class Killed(BaseException):
    """The process is gone: no error that anything catches."""


@dataclass
class Fuse:
    """Kills at a step, before it or after it."""

    left: int = 10**9

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Count a step twice, and kill where the count says."""

        def fused(*arguments: object, **named: object) -> object:
            self._burn()
            done = step(*arguments, **named)
            self._burn()
            return done

        return fused

    def _burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class FusedStore:
    """A store whose every step counts, and that remembers what each file was written with."""

    def __init__(self, store: ObjectStore, fuse: Fuse, contents: dict[str, set[bytes]]) -> None:
        self._store = store
        self._fuse = fuse
        self._contents = contents

    def __getattr__(self, name: str) -> Any:
        return self._fuse.around(getattr(self._store, name)) if name == "delete" else getattr(self._store, name)

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open an object for writing."""
        with self._store.writer(key) as out:
            out.commit = self._fuse.around(out.commit)  # type: ignore[method-assign] - the fuse
            yield out
        with self._store.open(key) as body:
            self._contents.setdefault(key, set()).add(body.read())


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_kills_leave_each_record_in_exactly_one_file(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        depot, source = a_depot(Path(folder)), MemoryStream(page_records=data.draw(st.integers(1, 5)))
        contents: dict[str, set[bytes]] = {}
        for _ in range(data.draw(st.integers(1, 4), label="rounds")):
            _arrive(data, depot, source)
            _live(data, depot, source, contents)
        source.closed = {FIRST, SECOND}
        depot.clock.advance(seconds=61)
        a_batcher(depot, source).run_once()

        sent = sum(map(len, source.records.values()))
        bad = len(dead_letters(depot))
        assert numbers(records_of(depot)) == sorted(_numbered(source))
        assert bad == sent - len(_numbered(source))
        assert {key for key, versions in contents.items() if len(versions) > 1} == set()
        assert all(progress.n_open_batches == 0 for progress in depot.platform.repository.shard_progress())
        assert [_left(depot, shard) for shard in source.records] == [([], [])] * len(source.records)


def _arrive(data: st.DataObject, depot: Depot, source: MemoryStream) -> None:
    """Let records arrive, and time go by."""
    for topic in data.draw(st.lists(st.sampled_from(["taps", "sales", "bad"]), max_size=8), label="topics"):
        shard = data.draw(st.sampled_from([FIRST, SECOND]))
        n = sum(map(len, source.records.values()))
        body = b"?" if topic == "bad" else f'{{"topic":"{topic}","n":{n}}}'.encode()
        source.put(body, shard=shard, arrived_at=depot.clock.now())
        depot.clock.advance(seconds=data.draw(st.sampled_from([0, 20])))


def _live(data: st.DataObject, depot: Depot, source: MemoryStream, contents: dict[str, set[bytes]]) -> None:
    """Let a batcher run, with limits of its own, until it is done or killed."""
    fuse = Fuse(data.draw(st.integers(1, 60), label="steps to live"))
    cut = {"max_records": data.draw(st.integers(1, 4)), "max_seconds": data.draw(st.sampled_from([30, 3_600]))}
    batcher = a_batcher(depot, source, owner=f"{data.draw(st.integers(0, 9))}", **cut)
    for step in ("lease", "cut", "advance", "forget_parts", "release"):
        setattr(batcher.ledger, step, fuse.around(getattr(batcher.ledger, step)))
    stores = depot.platform.stores
    batcher.stores = Stores(
        cast("ObjectStore", FusedStore(stores.incoming, fuse, contents)),
        stores.archive,
        cast("ObjectStore", FusedStore(stores.error, fuse, contents)),
        stores.springboard,
    )
    try:
        batcher.run_once()
    except Killed:
        depot.clock.advance(seconds=data.draw(st.sampled_from([0, 61])))
    if data.draw(st.booleans(), label="ingested"):
        depot.clock.advance(seconds=timedelta(hours=1).total_seconds() * data.draw(st.sampled_from([0, 1])))


def _left(depot: Depot, shard: str) -> tuple[list[object], list[object]]:
    """Return the batches and parts on record as unfinished; a part that never came on record is swept later."""
    ledger, now = a_batcher(depot, MemoryStream()).ledger, depot.clock.now()
    state = ledger.lease("fares", shard, "last", now=now, expires_at=now)
    assert state is not None
    return list(state.batches), list(state.spent_keys)


def _numbered(source: MemoryStream) -> list[int]:
    sent = [record.data for records in source.records.values() for record in records]
    return [json.loads(body)["n"] for body in sent if body != b"?"]
