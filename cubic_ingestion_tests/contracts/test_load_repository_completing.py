"""What every load repository promises of how work ends: only its holder ends it."""

from datetime import timedelta

import pytest

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.errors import IllegalTransitionError
from cubic_ingestion.ports import LoadRepository, PartitionTotal, StatusCount
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


def test_an_ingested_load_carries_its_counts_and_waits_for_archiving(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    claim(repository)
    assert repository.complete_ingest("run-1/a", [an_ingested(load, n_rows=3_000_000_000)]) == []
    now = reread(repository, load)
    assert (now.status, now.claimed_by) == (LoadStatus.READY_FOR_ARCHIVING, None)
    assert (now.n_rows, now.n_bytes, now.location) == (3_000_000_000, 300, f"{load.version.key}.parquet")


def test_archived_and_errored_loads_carry_their_keys(repository: LoadRepository) -> None:
    (good,) = archived(repository, "a.csv")
    (bad,) = ready(repository, "b.csv")
    repository.reject(bad.id, BAD)
    claim(repository, Work.ERROR)
    assert repository.complete_error("run-1/a", {bad.id: "error/b.csv"}) == []
    assert (reread(repository, good).status, reread(repository, bad).status) == (
        LoadStatus.ARCHIVED,
        LoadStatus.ERRORED,
    )
    keys = [f"archive/{good.version.key}", "error/b.csv", "elsewhere"]
    assert repository.taken_keys(keys) == {keys[0]: good.id, keys[1]: bad.id}


@pytest.mark.parametrize("work", [Work.INGEST, Work.ARCHIVE, Work.ERROR, Work.REPLAY])
def test_one_who_comes_late_changes_nothing(repository: LoadRepository, work: Work) -> None:
    (load,) = {Work.INGEST: ready, Work.ARCHIVE: ingested, Work.ERROR: ready, Work.REPLAY: archived}[work](
        repository, "a.csv"
    )
    if work is Work.ERROR:
        repository.reject(load.id, BAD)
    keys = [DAY] if work is Work.REPLAY else None
    claim(repository, work, partition_keys=keys)
    claim(repository, work, "run-2/b", now=LATER, partition_keys=keys)
    before = reread(repository, load)
    assert repository.complete_ingest("run-1/a", [an_ingested(load)]) == [load.id]
    assert repository.complete_archive("run-1/a", {load.id: "x"}) == [load.id]
    assert repository.complete_error("run-1/a", {load.id: "x"}) == [load.id]
    assert not repository.reject(load.id, BAD, claimant="run-1/a")
    assert repository.release("run-1/a", retry_at=NOON) == 0
    assert reread(repository, load) == before


def test_loads_still_held_are_completed_beside_lost_ones(repository: LoadRepository) -> None:
    first, second = ready(repository, "a.csv", "b.csv")
    claim(repository)
    repository.release("run-1/a", retry_at=NOON, load_ids=[first.id])
    assert repository.complete_ingest("run-1/a", [an_ingested(first), an_ingested(second)]) == [first.id]
    assert reread(repository, first).status is LoadStatus.READY
    assert reread(repository, second).status is LoadStatus.READY_FOR_ARCHIVING


def test_a_transition_that_the_domain_does_not_know_is_refused_and_nothing_of_the_call_happens(
    repository: LoadRepository,
) -> None:
    first, second = ready(repository, "a.csv", "b.csv")
    claim(repository)
    with pytest.raises(IllegalTransitionError, match=r"'ingesting'.*'archived'"):
        repository.complete_archive("run-1/a", {first.id: "x", second.id: "y"})
    assert reread(repository, first).status is LoadStatus.INGESTING


def test_a_held_load_is_rejected_with_its_reason(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    claim(repository)
    assert not repository.reject(load.id, BAD)
    assert repository.reject(load.id, BAD, claimant="run-1/a")
    now = reread(repository, load)
    assert (now.status, now.error, now.claimed_by) == (LoadStatus.READY_FOR_ERRORING, BAD, None)


def test_a_rejected_replay_stays_archived_with_the_reason(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv")
    repository.mark_replay([load.id])
    claim(repository, Work.REPLAY)
    assert repository.reject(load.id, BAD, claimant="run-1/a")
    now = reread(repository, load)
    assert (now.status, now.error, now.is_replay_due, now.claimed_by) == (LoadStatus.ARCHIVED, BAD, False, None)
    assert (now.n_rows, now.attempts) == (3, 0)


def test_a_replay_updates_the_counts_and_clears_an_earlier_reason(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv")
    claim(repository, Work.REPLAY, partition_keys=[DAY])
    repository.reject(load.id, BAD, claimant="run-1/a")
    claim(repository, Work.REPLAY, partition_keys=[DAY])
    assert repository.complete_ingest("run-1/a", [an_ingested(load, n_rows=4, location=None)]) == []
    now = reread(repository, load)
    assert (now.status, now.n_rows, now.location, now.error) == (LoadStatus.ARCHIVED, 4, None, None)
    assert now.claimed_by is None


def test_a_replay_that_moves_its_original_stays_held_until_its_rows_are_recorded(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    place(repository, [load], "moved", snapshot=APRIL)
    claim(repository, Work.REPLAY, table=CHANGES)
    assert repository.complete_archive("run-1/a", {load.id: "archive/moved"}) == []
    now = reread(repository, load)
    assert (now.status, now.archive_key, now.is_replay_due) == (LoadStatus.ARCHIVED, "archive/moved", True)
    assert now.claimed_by == "run-1/a"
    repository.complete_ingest("run-1/a", [an_ingested(load, "moved")])
    assert not reread(repository, load).is_replay_due


@pytest.mark.parametrize("work", [Work.INGEST, Work.REPLAY])
def test_a_load_whose_snapshot_changes_while_it_is_read_is_read_again(repository: LoadRepository, work: Work) -> None:
    make = {Work.INGEST: ready, Work.REPLAY: archived}[work]
    (load,) = make(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    claim(repository, work, table=CHANGES, partition_keys=[DAY])
    place(repository, [load], "moved", snapshot=APRIL)
    assert repository.complete_ingest("run-1/a", [an_ingested(load)]) == []
    now = reread(repository, load)
    assert (now.is_replay_due, now.partition_key, now.n_rows) == (True, "moved", 3)


def test_a_place_belongs_to_the_load_that_was_written_there_last(repository: LoadRepository) -> None:
    key = f"{DMAP.prefix}a.csv"
    for etag in ("old", "new"):
        repository.register([an_arrival(key=key, etag=etag)])
    old, new = repository.versions(key)
    for load, n_rows in ((old, 9), (new, 3)):
        place(repository, [load])
        claim(repository)
        repository.complete_ingest("run-1/a", [an_ingested(load, location="p", n_rows=n_rows)])
    assert repository.newest_at(["p", "q"]) == {"p": reread(repository, new)}
    assert reread(repository, old).location is None
    assert repository.partition_totals(DMAP.name, [DAY, "other"]) == {DAY: PartitionTotal(1, 3, 300, 0, NOON, NOON)}
    assert repository.locations(DMAP.name, [DAY, "other"]) == ["p"]
    assert [count.n_rows for count in repository.status_counts()] == [3]
    assert repository.n_rows(DMAP.name) == 3
    assert repository.n_rows("cubic__dmap__other") == 0


def test_a_load_in_error_owns_no_place(repository: LoadRepository) -> None:
    (load,) = ingested(repository, "a.csv")
    claim(repository, Work.ARCHIVE)
    repository.reject(load.id, BAD, claimant="run-1/a")
    location = f"{load.version.key}.parquet"
    assert repository.newest_at([location]) == {}
    assert repository.locations(DMAP.name, [DAY]) == []


def test_partitions_are_summed_up_and_listed_in_order_of_source_time(repository: LoadRepository) -> None:
    first, second, third = register(repository, "a.csv", "b.csv", "c.csv")
    place(repository, [first], source_at=NOON + timedelta(hours=2))
    place(repository, [second], source_at=NOON)
    place(repository, [third], "2022-03-05")
    claim(repository)
    repository.complete_ingest("run-1/a", [an_ingested(first), an_ingested(second), an_ingested(third, "2022-03-05")])
    totals = repository.partition_totals(DMAP.name, [DAY])
    assert totals == {DAY: PartitionTotal(2, 6, 600, 0, NOON, NOON + timedelta(hours=2))}
    assert repository.locations(DMAP.name, [DAY]) == [f"{load.version.key}.parquet" for load in (second, first)]


def test_loads_are_listed_newest_first_by_table_and_status(repository: LoadRepository) -> None:
    first, second = ready(repository, "a.csv", "b.csv")
    (other,) = register(repository, "c.csv.gz", table=CHANGES)
    repository.reject(first.id, BAD)
    assert [load.id for load in repository.loads(limit=2)] == [other.id, second.id]
    assert [load.id for load in repository.loads(before=second.id)] == [first.id]
    assert [load.id for load in repository.loads(tables=[DMAP.name])] == [second.id, first.id]
    assert [load.id for load in repository.loads(statuses=[LoadStatus.READY_FOR_ERRORING])] == [first.id]
    assert repository.load(10_000) is None


def test_loads_are_counted_by_table_and_status(repository: LoadRepository) -> None:
    done = [reread(repository, load) for load in ingested(repository, "a.csv", "b.csv")]
    (new,) = register(repository, "c.csv")
    oldest, newest = min(load.inserted_at for load in done), max(load.updated_at for load in done)
    assert repository.status_counts() == [
        StatusCount(DMAP.name, LoadStatus.READY, 1, 0, 0, new.inserted_at, new.updated_at),
        StatusCount(DMAP.name, LoadStatus.READY_FOR_ARCHIVING, 2, 6, 0, oldest, newest),
    ]
