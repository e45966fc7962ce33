"""What every load ledger promises of how work ends: only its holder ends it."""

from datetime import timedelta

import pytest

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.errors import IllegalTransitionError
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import PartitionTotal, StatusCount
from cubic_ingestion_tests.builders import NOON, an_arrival
from cubic_ingestion_tests.contracts.ledgers import (
    CHANGES,
    DAY,
    DMAP,
    LATER,
    an_ingested,
    archived,
    claim,
    ingested,
    place,
    ready,
    register,
    reread,
)

BAD = LoadError("bad_value", "It is bad.", row=7, column="amount")
MARCH, APRIL = NOON.replace(day=1), NOON.replace(month=4)


def test_an_ingested_load_carries_its_counts_and_waits_for_archiving(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    claim(ledger)
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, n_rows=3_000_000_000)]) == []
    now = reread(ledger, load)
    assert (now.status, now.claimed_by) == (LoadStatus.READY_FOR_ARCHIVING, None)
    assert (now.n_rows, now.n_bytes, now.location) == (3_000_000_000, 300, f"{load.version.key}.parquet")


def test_archived_and_errored_loads_carry_their_keys(ledger: Ledger) -> None:
    (good,) = archived(ledger, "a.csv")
    (bad,) = ready(ledger, "b.csv")
    ledger.outcomes.reject(bad.id, BAD)
    claim(ledger, Work.ERROR)
    assert ledger.outcomes.complete_error("run-1/a", {bad.id: "error/b.csv"}) == []
    assert (reread(ledger, good).status, reread(ledger, bad).status) == (
        LoadStatus.ARCHIVED,
        LoadStatus.ERRORED,
    )
    keys = [f"archive/{good.version.key}", "error/b.csv", "elsewhere"]
    assert ledger.queries.taken_keys(keys) == {keys[0]: good.id, keys[1]: bad.id}


@pytest.mark.parametrize("work", [Work.INGEST, Work.ARCHIVE, Work.ERROR, Work.REPLAY])
def test_one_who_comes_late_changes_nothing(ledger: Ledger, work: Work) -> None:
    (load,) = {Work.INGEST: ready, Work.ARCHIVE: ingested, Work.ERROR: ready, Work.REPLAY: archived}[work](
        ledger, "a.csv"
    )
    if work is Work.ERROR:
        ledger.outcomes.reject(load.id, BAD)
    keys = [DAY] if work is Work.REPLAY else None
    claim(ledger, work, partition_keys=keys)
    claim(ledger, work, "run-2/b", now=LATER, partition_keys=keys)
    before = reread(ledger, load)
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)]) == [load.id]
    assert ledger.outcomes.complete_archive("run-1/a", {load.id: "x"}) == [load.id]
    assert ledger.outcomes.complete_error("run-1/a", {load.id: "x"}) == [load.id]
    assert not ledger.outcomes.reject(load.id, BAD, claimant="run-1/a")
    assert ledger.claims.release("run-1/a", retry_at=NOON) == 0
    assert reread(ledger, load) == before


def test_loads_still_held_are_completed_beside_lost_ones(ledger: Ledger) -> None:
    first, second = ready(ledger, "a.csv", "b.csv")
    claim(ledger)
    ledger.claims.release("run-1/a", retry_at=NOON, load_ids=[first.id])
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(first), an_ingested(second)]) == [first.id]
    assert reread(ledger, first).status is LoadStatus.READY
    assert reread(ledger, second).status is LoadStatus.READY_FOR_ARCHIVING


def test_a_transition_that_the_domain_does_not_know_is_refused_and_nothing_of_the_call_happens(
    ledger: Ledger,
) -> None:
    first, second = ready(ledger, "a.csv", "b.csv")
    claim(ledger)
    with pytest.raises(IllegalTransitionError, match=r"'ingesting'.*'archived'"):
        ledger.outcomes.complete_archive("run-1/a", {first.id: "x", second.id: "y"})
    assert reread(ledger, first).status is LoadStatus.INGESTING


def test_a_held_load_is_rejected_with_its_reason(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    claim(ledger)
    assert not ledger.outcomes.reject(load.id, BAD)
    assert ledger.outcomes.reject(load.id, BAD, claimant="run-1/a")
    now = reread(ledger, load)
    assert (now.status, now.error, now.claimed_by) == (LoadStatus.READY_FOR_ERRORING, BAD, None)


def test_a_rejected_replay_stays_archived_with_the_reason(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    ledger.outcomes.mark_replay([load.id])
    claim(ledger, Work.REPLAY)
    assert ledger.outcomes.reject(load.id, BAD, claimant="run-1/a")
    now = reread(ledger, load)
    assert (now.status, now.error, now.is_replay_due, now.claimed_by) == (LoadStatus.ARCHIVED, BAD, False, None)
    assert (now.n_rows, now.attempts) == (3, 0)


def test_a_replay_updates_the_counts_and_clears_an_earlier_reason(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    ledger.outcomes.reject(load.id, BAD, claimant="run-1/a")
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, n_rows=4, location=None)]) == []
    now = reread(ledger, load)
    assert (now.status, now.n_rows, now.location, now.error) == (LoadStatus.ARCHIVED, 4, None, None)
    assert now.claimed_by is None


def test_a_replay_that_moves_its_original_stays_held_until_its_rows_are_recorded(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    place(ledger, [load], "moved", snapshot=APRIL)
    claim(ledger, Work.REPLAY, table=CHANGES)
    assert ledger.outcomes.complete_archive("run-1/a", {load.id: "archive/moved"}) == []
    now = reread(ledger, load)
    assert (now.status, now.archive_key, now.is_replay_due) == (LoadStatus.ARCHIVED, "archive/moved", True)
    assert now.claimed_by == "run-1/a"
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, "moved")])
    assert not reread(ledger, load).is_replay_due


@pytest.mark.parametrize("work", [Work.INGEST, Work.REPLAY])
def test_a_load_whose_snapshot_changes_while_it_is_read_is_read_again(ledger: Ledger, work: Work) -> None:
    make = {Work.INGEST: ready, Work.REPLAY: archived}[work]
    (load,) = make(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    claim(ledger, work, table=CHANGES, partition_keys=[DAY])
    place(ledger, [load], "moved", snapshot=APRIL)
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)]) == []
    now = reread(ledger, load)
    assert (now.is_replay_due, now.partition_key, now.n_rows) == (True, "moved", 3)


def test_a_place_belongs_to_the_load_that_was_written_there_last(ledger: Ledger) -> None:
    key = f"{DMAP.prefix}a.csv"
    for etag in ("old", "new"):
        ledger.intake.register([an_arrival(key=key, etag=etag)])
    old, new = ledger.queries.versions(key)
    for load, n_rows in ((old, 9), (new, 3)):
        place(ledger, [load])
        claim(ledger)
        ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, location="p", n_rows=n_rows)])
    assert ledger.queries.newest_at(["p", "q"]) == {"p": reread(ledger, new)}
    assert reread(ledger, old).location is None
    assert ledger.partitions.totals(DMAP.name, [DAY, "other"]) == {DAY: PartitionTotal(1, 3, 300, 0, NOON, NOON)}
    assert ledger.partitions.locations(DMAP.name, [DAY, "other"]) == ["p"]
    assert [count.n_rows for count in ledger.queries.status_counts()] == [3]
    assert ledger.queries.n_rows(DMAP.name) == 3
    assert ledger.queries.n_rows("cubic__dmap__other") == 0


def test_a_load_in_error_owns_no_place(ledger: Ledger) -> None:
    (load,) = ingested(ledger, "a.csv")
    claim(ledger, Work.ARCHIVE)
    ledger.outcomes.reject(load.id, BAD, claimant="run-1/a")
    location = f"{load.version.key}.parquet"
    assert ledger.queries.newest_at([location]) == {}
    assert ledger.partitions.locations(DMAP.name, [DAY]) == []


def test_partitions_are_summed_up_and_listed_in_order_of_source_time(ledger: Ledger) -> None:
    first, second, third = register(ledger, "a.csv", "b.csv", "c.csv")
    place(ledger, [first], source_at=NOON + timedelta(hours=2))
    place(ledger, [second], source_at=NOON)
    place(ledger, [third], "2022-03-05")
    claim(ledger)
    ledger.outcomes.complete_ingest(
        "run-1/a", [an_ingested(first), an_ingested(second), an_ingested(third, "2022-03-05")]
    )
    totals = ledger.partitions.totals(DMAP.name, [DAY])
    assert totals == {DAY: PartitionTotal(2, 6, 600, 0, NOON, NOON + timedelta(hours=2))}
    assert ledger.partitions.locations(DMAP.name, [DAY]) == [f"{load.version.key}.parquet" for load in (second, first)]


def test_loads_are_listed_newest_first_by_table_and_status(ledger: Ledger) -> None:
    first, second = ready(ledger, "a.csv", "b.csv")
    (other,) = register(ledger, "c.csv.gz", table=CHANGES)
    ledger.outcomes.reject(first.id, BAD)
    assert [load.id for load in ledger.queries.loads(limit=2)] == [other.id, second.id]
    assert [load.id for load in ledger.queries.loads(before=second.id)] == [first.id]
    assert [load.id for load in ledger.queries.loads(tables=[DMAP.name])] == [second.id, first.id]
    assert [load.id for load in ledger.queries.loads(statuses=[LoadStatus.READY_FOR_ERRORING])] == [first.id]
    assert ledger.queries.load(10_000) is None


def test_loads_are_counted_by_table_and_status(ledger: Ledger) -> None:
    done = [reread(ledger, load) for load in ingested(ledger, "a.csv", "b.csv")]
    (new,) = register(ledger, "c.csv")
    oldest, newest = min(load.inserted_at for load in done), max(load.updated_at for load in done)
    assert ledger.queries.status_counts() == [
        StatusCount(DMAP.name, LoadStatus.READY, 1, 0, 0, new.inserted_at, new.updated_at),
        StatusCount(DMAP.name, LoadStatus.READY_FOR_ARCHIVING, 2, 6, 0, oldest, newest),
    ]
