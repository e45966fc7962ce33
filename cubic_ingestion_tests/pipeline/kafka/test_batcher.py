"""One batcher, or two, over a whole Kinesis stream: what is in Incoming afterwards."""

from base64 import b64decode
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from cubic_ingestion.domain.batch import OPEN_PREFIX
from cubic_ingestion.errors import ShardLeaseLostError, StreamUnavailableError
from cubic_ingestion.parsing.json_fields import record_fields
from cubic_ingestion.pipeline.audit import audit
from cubic_ingestion.pipeline.kafka import routing
from cubic_ingestion.ports import Page
from cubic_ingestion_tests.builders import NOON
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
    parts,
    records_of,
)


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """An empty depot at noon."""
    return a_depot(tmp_path)


@pytest.fixture
def source() -> MemoryStream:
    """An empty Kinesis stream."""
    return MemoryStream()


def test_a_batch_is_cut_at_its_number_of_records_and_the_rest_stays_open(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 10)

    a_batcher(depot, source).run_once()

    files = records_of(depot)
    assert sorted(len(records) for records in files.values()) == [4, 4]
    assert numbers(files) == list(range(8))
    (progress,) = depot.platform.ledger.shards.progress()
    assert (progress.n_open_batches, progress.n_open_records, progress.oldest_open_at) == (1, 2, NOON)


def test_the_next_pass_goes_on_with_the_open_batch_and_reads_nothing_again(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 3)
    a_batcher(depot, source).run_once()
    source.put_all(["taps"] * 1)
    source.records[FIRST] = source.records[FIRST][3:]  # older ones are gone from the Kinesis stream

    report = a_batcher(depot, source, owner="two").run_once()

    assert report.done.n_records == 1
    assert numbers(records_of(depot)) == [0, 1, 2, 3]
    assert parts(depot) == []


def test_a_batch_is_cut_an_hour_after_its_first_record_though_nothing_follows(
    depot: Depot, source: MemoryStream
) -> None:
    source.put_all(["taps"] * 2)
    a_batcher(depot, source).run_once()
    depot.clock.advance(seconds=3_599)
    a_batcher(depot, source).run_once()
    assert records_of(depot) == {}

    depot.clock.advance(seconds=1)
    a_batcher(depot, source).run_once()

    assert numbers(records_of(depot)) == [0, 1]


def test_a_record_that_arrived_an_hour_later_begins_a_new_batch(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 2)
    source.put_all(["taps"], arrived_at=NOON + timedelta(hours=1))

    a_batcher(depot, source).run_once()

    assert numbers(records_of(depot)) == [0, 1]


def test_a_batch_does_not_grow_over_its_bytes(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 3)

    a_batcher(depot, source, max_bytes=250).run_once()

    assert sorted(map(len, records_of(depot).values())) == [1, 1]
    assert all(path.stat().st_size <= 250 for path in (depot.root / "incoming").rglob("*.json"))


def test_each_topic_goes_to_its_table_with_where_each_record_stood(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps", "sales"] * 4)

    a_batcher(depot, source).run_once()

    files = records_of(depot)
    assert sorted(key.rpartition("/")[0] + "/" for key in files) == sorted([TAPS.prefix, SALES.prefix])
    stood = {
        (record["kinesis_shard_id"], record["kinesis_sequence_number"]) for file in files.values() for record in file
    }
    assert stood == {(FIRST, str(record.position)) for record in source.records[FIRST]}


def test_a_record_with_a_byte_order_mark_is_a_record(depot: Depot, source: MemoryStream) -> None:
    for _ in range(4):
        source.put(b'\xef\xbb\xbf{"topic": "taps"}')

    a_batcher(depot, source).run_once()

    assert [record["topic"] for file in records_of(depot).values() for record in file] == ["taps"] * 4
    assert dead_letters(depot) == []


def test_what_no_table_takes_is_a_dead_letter_and_the_audit_knows_it(depot: Depot, source: MemoryStream) -> None:
    source.put(b"no json")
    source.put(b'{"topic": "unheard-of"}')
    source.put(b"\xff\xfe")
    source.put(b"[1]")

    report = a_batcher(depot, source).run_once()

    assert report.done.n_dead_letters == 4
    assert [letter["reason"] for letter in dead_letters(depot)] == [
        "not_json",
        "topic_undeclared",
        "not_utf8",
        "not_an_object",
    ]
    assert audit(depot.platform).findings == []
    depot.put("../error/cubic/kafka_dead_letter/planted.json", b"{}")
    assert [finding.code for finding in audit(depot.platform).findings] == ["stray_object"]


def test_parts_of_open_batches_are_no_loads_and_the_audit_says_whose_they_are(
    depot: Depot, source: MemoryStream
) -> None:
    source.put_all(["taps"])
    a_batcher(depot, source).run_once()

    depot.settle()
    done = audit(depot.platform)

    assert (depot.loads(), done.findings) == ([], [])
    assert any(OPEN_PREFIX in note for note in done.notes)
    depot.clock.advance(days=30)
    assert audit(depot.platform).findings == []


def test_batches_become_rows_each_once_also_if_a_crash_writes_a_file_again(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 4)
    a_batcher(depot, source).run_once()
    ((key, _),) = records_of(depot).items()
    written = (depot.root / "incoming" / key).read_bytes()
    depot.settle()

    depot.put(key, written)  # as a batcher does that was stopped between asking and writing
    depot.settle()

    assert sorted(str(row["n"]) for row in depot.rows(TAPS)) == ["0", "1", "2", "3"]
    assert {row["kinesis_shard_id"] for row in depot.rows(TAPS)} == {FIRST}
    assert audit(depot.platform).findings == []


def test_a_file_that_was_ingested_and_moved_before_the_checkpoint_is_not_written_again(
    depot: Depot, source: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put_all(["taps"] * 4)
    batcher = a_batcher(depot, source)
    with monkeypatch.context() as killed:
        killed.setattr(batcher.ledger.shards, "advance", _raise(StreamUnavailableError("fares", "killed")))
        batcher.run_once()
        depot.settle()

    a_batcher(depot, source, owner="two").run_once()

    assert records_of(depot) == {}
    assert len(depot.loads()) == 1
    assert depot.platform.ledger.shards.progress()[0].n_open_batches == 0


def test_other_limits_after_a_crash_change_nothing_of_what_was_cut(
    depot: Depot, source: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put_all(["taps"] * 9)
    batcher = a_batcher(depot, source)
    monkeypatch.setattr(batcher.ledger.shards, "advance", _raise(StreamUnavailableError("fares", "killed")))
    batcher.run_once()
    before = {key: (depot.root / "incoming" / key).read_bytes() for key in records_of(depot)}
    for key in before:
        (depot.root / "incoming" / key).unlink()

    a_batcher(depot, source, owner="two", max_records=3).run_once()

    after = {key: (depot.root / "incoming" / key).read_bytes() for key in records_of(depot)}
    assert after == before
    assert len(before) == 2


def test_parents_are_read_to_their_end_before_their_children(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 2, shard="z-parent")
    source.parents = {"a-child": ("z-parent",), "b-child": ("z-parent", "forgotten-by-kinesis")}
    source.put_all(["taps"] * 2, shard="a-child")
    source.put_all(["taps"] * 2, shard="b-child")
    a_batcher(depot, source).run_once()
    assert source.read == ["z-parent"]

    source.closed.add("z-parent")
    a_batcher(depot, source).run_once()

    assert source.read == ["z-parent", "a-child", "b-child"]
    ended = {progress.shard: progress.is_ended for progress in depot.platform.ledger.shards.progress()}
    assert ended == {"z-parent": True, "a-child": False, "b-child": False}
    assert len(records_of(depot)) == 1  # the parent's batch can get no more


def test_trouble_with_one_shard_does_not_stop_the_others(depot: Depot, source: MemoryStream) -> None:
    for shard in ("a", "b"):
        source.put_all(["taps"] * 4, shard=shard)

    def refuse(shard: str) -> None:
        if shard == "a":
            raise StreamUnavailableError("fares", "ProvisionedThroughputExceededException")

    source.trouble = refuse
    report = a_batcher(depot, source).run_once()
    assert [len(report.problems), len(records_of(depot))] == [1, 1]

    source.trouble = lambda _: None
    a_batcher(depot, source).run_once()
    assert len(records_of(depot)) == 2


def test_a_shard_that_another_holds_is_left_to_it_until_its_lease_expires(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 4)
    one, two = a_batcher(depot, source), a_batcher(depot, source, owner="two")
    expires_at = NOON + timedelta(seconds=60)
    one.ledger.shards.lease("fares", FIRST, "one", now=NOON, expires_at=expires_at)
    assert two.run_once().held_elsewhere == {FIRST}

    depot.clock.advance(seconds=60)
    assert two.run_once().done.n_files == 1


def test_a_batcher_that_lost_its_lease_changes_nothing_on_record(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 6)
    late = a_batcher(depot, source)

    def overtaken(_: str) -> None:
        source.trouble = lambda _: None
        depot.clock.advance(seconds=61)
        a_batcher(depot, source, owner="two").run_once()

    source.trouble = overtaken
    report = late.run_once()

    assert [problem.partition(" ended")[0] for problem in report.problems] == [f"The lease on shard '{FIRST}'"]
    assert numbers(records_of(depot)) == [0, 1, 2, 3]
    assert depot.platform.ledger.shards.progress()[0].n_open_records == 2


def test_two_that_follow_share_the_shards_and_a_stopped_one_leaves_all_on_record(
    depot: Depot, source: MemoryStream
) -> None:
    shards = ["a", "b", "c", "d"]
    for shard in shards:
        source.put_all(["taps"] * 3, shard=shard)
    one, two = a_batcher(depot, source), a_batcher(depot, source, owner="two")
    owners: list[dict[str, str | None]] = []
    rounds = iter(range(40))

    def other_turn(_: float) -> None:
        depot.clock.advance(seconds=7)
        owners.append({progress.shard: progress.owner for progress in depot.platform.ledger.shards.progress()})

    def stop_two() -> bool:
        one_turn(one)
        return next(rounds) == 39

    two.follow(stop_two, other_turn)

    assert [list(owners[-1].values()).count(name) for name in ("one", "two")] == [2, 2]
    last = {progress.owner for progress in depot.platform.ledger.shards.progress()}
    assert last == {"one", None}
    one.follow(lambda: True, lambda _: None)
    assert sum(progress.n_open_records for progress in depot.platform.ledger.shards.progress()) == 12


def one_turn(batcher: object) -> None:
    """Let a following batcher look around and read once, as its loop does, without stopping it."""
    batcher._keep_leases()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a turn of its loop
    batcher._share_shards()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a turn of its loop
    for shard in list(batcher._readings):  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a turn of its loop
        batcher._read(shard)  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a turn of its loop


def test_pages_that_others_read_are_taken_once_and_kept_between_calls(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"] * 6)
    sent = source.records[FIRST]
    for start, stop in ((0, 3), (0, 3), (2, 6)):
        page = Page(sent[start:stop], str(sent[stop - 1].position), 0)
        a_batcher(depot, source).take_page(FIRST, page)

    assert numbers(records_of(depot)) == [0, 1, 2, 3]
    assert depot.platform.ledger.shards.progress()[0].n_open_records == 2

    depot.clock.advance(hours=1)
    a_batcher(depot, source).cut_overdue()
    assert numbers(records_of(depot)) == list(range(6))


def test_a_page_is_refused_while_another_holds_the_shard(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"])
    batcher = a_batcher(depot, source)
    batcher.ledger.shards.lease("fares", FIRST, "two", now=NOON, expires_at=NOON + timedelta(seconds=60))

    with pytest.raises(ShardLeaseLostError):
        batcher.take_page(FIRST, Page(source.records[FIRST], "1", 0))


def test_parts_that_never_came_on_record_are_removed_once_they_are_old(depot: Depot, source: MemoryStream) -> None:
    source.put_all(["taps"])
    key = f"{OPEN_PREFIX}fares/{FIRST}/{TAPS.name}/1_2.jsonl"
    depot.put(key, b"{}\n", modified_at=NOON)
    a_batcher(depot, source).run_once()
    assert key in parts(depot)

    depot.clock.advance(days=1, seconds=1)
    source.put_all(["sales"], arrived_at=depot.clock.now())
    a_batcher(depot, source).run_once()

    assert key not in parts(depot)
    assert len(parts(depot)) == 1


def _raise(error: Exception) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


@pytest.mark.parametrize("follows", [False, True])
def test_an_unforeseen_error_in_one_shard_stops_no_other(depot: Depot, source: MemoryStream, *, follows: bool) -> None:
    other = "shardId-000000000001"
    source.put_all(["taps"] * 4)
    source.put_all(["taps"] * 4, shard=other)

    def stumble(shard: str) -> None:
        if shard == FIRST:
            raise KeyError("MillisBehindLatest")

    source.trouble = stumble
    batcher = a_batcher(depot, source)
    if follows:
        rounds = iter([False] * 5)
        report = batcher.follow(lambda: next(rounds, True), lambda _: None)
    else:
        report = batcher.run_once()

    assert len(records_of(depot)) == 1
    assert {record["kinesis_shard_id"] for file in records_of(depot).values() for record in file} == {other}
    assert all("KeyError at test_batcher.py:" in problem for problem in report.problems)
    assert report.problems
    source.trouble = lambda _: None
    a_batcher(depot, source, owner="two").run_once()
    assert len(records_of(depot)) == 2


def test_a_record_at_which_the_batcher_stumbles_is_a_dead_letter(
    depot: Depot, source: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbling(texts: Sequence[bytes]) -> object:
        if any(b"stumble" in text for text in texts):
            raise RecursionError
        return record_fields(texts)

    source.put_all(["taps"] * 3)
    source.put(b'{"topic": "taps", "n": "stumble"}')
    source.put(b'{"topic": "taps", "n": 4}')
    with monkeypatch.context() as patch:
        patch.setattr(routing, "record_fields", stumbling)
        report = a_batcher(depot, source, max_records=1).run_once()

    assert numbers(records_of(depot)) == [0, 1, 2, 4]
    (letter,) = dead_letters(depot)
    assert (letter["reason"], report.problems) == ("unforeseen", deque())
    assert b64decode(letter["data"]) == b'{"topic": "taps", "n": "stumble"}'
