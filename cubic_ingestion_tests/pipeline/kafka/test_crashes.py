"""Killed between any two steps, any number of times: each record is in one file, and no file has two contents."""

import json
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.pipeline.kafka import Batcher
from cubic_ingestion.ports import ObjectStore, ObjectWriter, Stores
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.kafka.memory_stream import (
    FIRST,
    SALES,
    TAPS,
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
        if self.left <= 0:  # who is dead does nothing more
            raise Killed


class FusedStore:
    """A store whose every step counts, and that remembers what each file was written with."""

    def __init__(self, store: ObjectStore, fuse: Fuse, contents: dict[str, set[bytes]]) -> None:
        self._store = store
        self._fuse = fuse
        self._contents = contents

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._store, name)
        return self._fuse.around(work) if name in {"delete", "head", "list", "open"} else work

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open an object for writing."""
        with self._store.writer(key) as out:
            out.commit = self._fuse.around(out.commit)  # type: ignore[method-assign] - the fuse
            yield out
        with self._store.open(key) as body:
            self._contents.setdefault(key, set()).add(body.read())


@pytest.mark.slow
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
        assert all(progress.n_open_batches == 0 for progress in depot.platform.ledger.shards.progress())
        assert [_left(depot, shard) for shard in source.records] == [([], [])] * len(source.records)


STORY = (["taps", "sales", "bad"], ["taps"] * 6, ["sales", "taps", "bad", "taps"])
"""Topics of the records that come before each pass of a batcher; the last are cut by time and by the shard's end."""


def _tell(depot: Depot, source: MemoryStream, fuse: Fuse, contents: dict[str, set[bytes]]) -> None:
    """Let records come and batchers pass, until a step kills one; its successors do not die."""
    for topics in STORY:
        for topic in topics:
            n = sum(map(len, source.records.values()))
            body = b"?" if topic == "bad" else f'{{"topic":"{topic}","n":{n}}}'.encode()
            source.put(body, shard=FIRST, arrived_at=depot.clock.now())
            depot.clock.advance(seconds=20)
        _pass(depot, source, fuse, contents)
    source.closed = {FIRST}
    depot.clock.advance(seconds=3_600)
    _pass(depot, source, fuse, contents)
    a_batcher(depot, source, owner="last").run_once()


def _pass(depot: Depot, source: MemoryStream, fuse: Fuse, contents: dict[str, set[bytes]]) -> None:
    """Let a batcher pass; once it is killed, what it left in Incoming is ingested and moved before the next comes."""
    try:
        _fused(depot, source, fuse, contents).run_once()
    except Killed:
        fuse.left = 10**9
        depot.clock.advance(seconds=61)
        depot.settle()


def _fused(depot: Depot, source: MemoryStream, fuse: Fuse, contents: dict[str, set[bytes]], **how: Any) -> Batcher:
    """Build a batcher each of whose steps counts."""
    batcher, stores = a_batcher(depot, source, **how), depot.platform.stores
    for step in ("leases", "lease", "renew", "cut", "advance", "forget_parts", "release"):
        setattr(batcher.ledger.shards, step, fuse.around(getattr(batcher.ledger.shards, step)))
    batcher.stores = Stores(
        cast("ObjectStore", FusedStore(stores.incoming, fuse, contents)),
        stores.archive,
        cast("ObjectStore", FusedStore(stores.error, fuse, contents)),
        stores.springboard,
    )
    return batcher


N_STEPS = 142
"""How many steps the story has when nobody dies. Tests are collected by number, since counting takes a while."""


def test_each_step_of_the_story_has_its_test(tmp_path: Path) -> None:
    fuse = Fuse()
    _tell(a_depot(tmp_path), MemoryStream(page_records=3), fuse, {})

    assert 10**9 - fuse.left == N_STEPS


@pytest.mark.slow
@pytest.mark.parametrize("step", range(1, N_STEPS + 1))
def test_a_kill_between_any_two_steps_leaves_each_record_in_exactly_one_file(tmp_path: Path, step: int) -> None:
    depot, source, contents = a_depot(tmp_path), MemoryStream(page_records=3), dict[str, set[bytes]]()
    _tell(depot, source, Fuse(step), contents)
    depot.settle()
    rows = [row["n"] for table in (TAPS, SALES) for row in depot.rows(table)]
    assert sorted(cast("list[int]", rows)) == sorted(_numbered(source))
    assert len(dead_letters(depot)) == 2
    assert {key for key, versions in contents.items() if len(versions) > 1} == set()
    assert _left(depot, FIRST) == ([], [])


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
    fuse = Fuse(data.draw(st.integers(1, 100), label="steps to live"))
    cut = {"max_records": data.draw(st.integers(1, 4)), "max_seconds": data.draw(st.sampled_from([30, 3_600]))}
    batcher = _fused(depot, source, fuse, contents, owner=f"{data.draw(st.integers(0, 9))}", **cut)
    try:
        batcher.run_once()
    except Killed:
        depot.clock.advance(seconds=data.draw(st.sampled_from([0, 61])))
    if data.draw(st.booleans(), label="ingested"):
        depot.clock.advance(seconds=timedelta(hours=1).total_seconds() * data.draw(st.sampled_from([0, 1])))


def _left(depot: Depot, shard: str) -> tuple[list[object], list[object]]:
    """Return the batches and parts on record as unfinished; a part that never came on record is swept later."""
    shards, now = a_batcher(depot, MemoryStream()).ledger.shards, depot.clock.now()
    state = shards.lease("fares", shard, "last", now=now, expires_at=now)
    assert state is not None
    return list(state.batches), list(state.spent_keys)


def _numbered(source: MemoryStream) -> list[int]:
    sent = [record.data for records in source.records.values() for record in records]
    return [json.loads(body)["n"] for body in sent if body != b"?"]
