"""Killed between any two steps, any number of times: each record is in one file, and no file has two contents."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cubic_ingestion.ports import ObjectWriter
from cubic_ingestion.storage.local_object_store import LocalObjectStore
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.faulty import KILLS, Fault, FaultPlan, kills
from cubic_ingestion_tests.faults.stage import work_with
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


Contents = dict[str, set[bytes]]
"""All that each file was ever written with, by its key."""


class RememberingStore(LocalObjectStore):
    """A folder that remembers what each file was written with."""

    def __init__(self, root: Path, contents: Contents) -> None:
        super().__init__(root)
        self._root_folder = root
        self._contents = contents

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        """Open an object for writing."""
        try:
            with super().writer(key) as out:
                yield out
        finally:
            if (path := self._root_folder / key).exists():
                self._contents.setdefault(key, set()).add(path.read_bytes())


def a_remembering_depot(root: Path, contents: Contents) -> Depot:
    """Make a depot that remembers what was written to Incoming and Error."""
    depot = a_depot(root)
    zones = {zone: RememberingStore(root / zone, contents) for zone in ("incoming", "error")}
    return replace(depot, platform=replace(depot.platform, stores=replace(depot.platform.stores, **zones)))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=40)
def test_any_kills_leave_each_record_in_exactly_one_file(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        contents: Contents = {}
        depot = a_remembering_depot(Path(folder), contents)
        source = MemoryStream(page_records=data.draw(st.integers(1, 5)))
        for _ in range(data.draw(st.integers(1, 4), label="rounds")):
            _arrive(data, depot, source)
            _live(data, depot, source)
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


CALLS = {
    "database.select cubic_kafka_batch_parts": 8,
    "database.insert cubic_kafka_shards, update cubic_kafka_shards": 4,
    "incoming.list": 4,
    "incoming.write": 11,
    "incoming.commit": 11,
    "database.insert cubic_kafka_batch_parts, insert cubic_kafka_batches, insert cubic_kafka_checkpoints, "
    "update cubic_kafka_batches, update cubic_kafka_checkpoints, update cubic_kafka_shards": 1,
    "database.update cubic_kafka_shards": 4,
    "database.update cubic_kafka_batches": 3,
    "incoming.head": 11,
    "incoming.open": 7,
    "database.insert cubic_kafka_batch_parts, insert cubic_kafka_batches, "
    "update cubic_kafka_batches, update cubic_kafka_checkpoints, update cubic_kafka_shards": 2,
    "incoming.delete": 7,
    "database.delete cubic_kafka_batch_parts": 3,
    "error.head": 1,
    "error.write": 1,
    "error.commit": 1,
    "database.update cubic_kafka_batches, update cubic_kafka_checkpoints, update cubic_kafka_shards": 1,
    "database.update cubic_kafka_checkpoints, update cubic_kafka_shards": 1,
}
"""How often the story makes each call. Reads of loads are left out."""


def _tell(depot: Depot, source: MemoryStream, plan: FaultPlan) -> None:
    """Let records come and batchers pass, until a call kills one; its successors do not die."""
    for topics in STORY:
        for topic in topics:
            n = sum(map(len, source.records.values()))
            body = b"?" if topic == "bad" else f'{{"topic":"{topic}","n":{n}}}'.encode()
            source.put(body, shard=FIRST, arrived_at=depot.clock.now())
            depot.clock.advance(seconds=20)
        plan = _pass(depot, source, plan)
    source.closed = {FIRST}
    depot.clock.advance(seconds=3_600)
    _pass(depot, source, plan)
    a_batcher(depot, source, owner="last").run_once()


def _pass(depot: Depot, source: MemoryStream, plan: FaultPlan) -> FaultPlan:
    """Let a batcher pass; once it is killed, what it left in Incoming is ingested and moved before the next comes."""
    work_with(depot, plan, lambda struck: a_batcher(struck, source).run_once())
    if not plan.is_dead:
        return plan
    depot.clock.advance(seconds=61)
    depot.settle()
    return FaultPlan()


def test_each_call_of_the_story_has_its_cells(tmp_path: Path) -> None:
    plan = FaultPlan()
    _tell(a_depot(tmp_path), MemoryStream(page_records=3), plan)

    assert {call: n for call, n in plan.calls.items() if not call.startswith("database.select cubic_loads")} == CALLS


@pytest.mark.slow
@pytest.mark.parametrize(("call", "number", "fault"), kills(CALLS))
def test_a_kill_between_any_two_steps_leaves_each_record_in_exactly_one_file(
    tmp_path: Path, call: str, number: int, fault: Fault
) -> None:
    contents: Contents = {}
    depot, source = a_remembering_depot(tmp_path, contents), MemoryStream(page_records=3)
    plan = FaultPlan(call, fault, (number,))
    _tell(depot, source, plan)
    assert plan.is_dead
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


def _live(data: st.DataObject, depot: Depot, source: MemoryStream) -> None:
    """Let a batcher run, with limits of its own, until it is done or killed."""
    call, fault = data.draw(st.sampled_from([*CALLS])), data.draw(st.sampled_from(KILLS))
    plan = FaultPlan(call, fault, (data.draw(st.integers(1, 4), label="number of the call"),))
    cut = {"max_records": data.draw(st.integers(1, 4)), "max_seconds": data.draw(st.sampled_from([30, 3_600]))}
    owner = f"{data.draw(st.integers(0, 9))}"
    work_with(depot, plan, lambda struck: a_batcher(struck, source, owner=owner, **cut).run_once())
    if plan.is_dead:
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
