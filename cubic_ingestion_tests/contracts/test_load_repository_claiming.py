"""What every load repository promises of claims: nobody shares a load, and nothing stays stuck."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from cubic_ingestion.domain.holding import Holding, Right
from cubic_ingestion.domain.load import Load, LoadError, Placement
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ports import LoadRepository
from cubic_ingestion_tests.builders import NOON, an_arrival
from cubic_ingestion_tests.contracts.ledgers import (
    AT_LATER,
    AT_NOON,
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

HELD = {
    Work.INGEST: LoadStatus.INGESTING,
    Work.ARCHIVE: LoadStatus.ARCHIVING,
    Work.ERROR: LoadStatus.ERRORING,
    Work.REPLAY: LoadStatus.ARCHIVED,
}


def a_load_waiting_for(repository: LoadRepository, work: Work, name: str = "a.csv") -> Load:
    """Bring a load to where it waits for some work."""
    if work is Work.ERROR:
        (load,) = ready(repository, name)
        repository.reject(load.id, LoadError("bad", "It is bad."))
        return load
    (load,) = {Work.INGEST: ready, Work.ARCHIVE: ingested, Work.REPLAY: archived}[work](repository, name)
    if work is Work.REPLAY:
        repository.mark_replay([load.id])
    return load


@pytest.mark.parametrize("work", list(Work))
def test_a_claimed_load_is_held_and_not_given_out_again(repository: LoadRepository, work: Work) -> None:
    load = a_load_waiting_for(repository, work)
    before = reread(repository, load).status
    assert repository.claimable([DMAP.name], work, **AT_NOON) == {DMAP.name: 1}
    (held,) = claim(repository, work)
    assert held == reread(repository, load)
    assert (held.status, held.claimed_by, held.claim_expires_at) == (HELD[work], "run-1/a", LATER)
    assert repository.holds("run-1/a", load.id)
    assert not repository.holds("run-1/b", load.id)
    assert claim(repository, work, "run-1/b") == []
    assert repository.claimable([DMAP.name], work, **AT_NOON) == {}
    assert repository.release("run-1/a", retry_at=NOON) == 1
    assert reread(repository, load).status == before
    assert not repository.holds("run-1/a", load.id)


@pytest.mark.parametrize("work", list(Work))
def test_what_is_claimable_can_be_counted_up_to_a_load(repository: LoadRepository, work: Work) -> None:
    assert repository.newest_id() == 0
    first = a_load_waiting_for(repository, work, "a.csv")
    second = a_load_waiting_for(repository, work, "b.csv")
    assert repository.newest_id() == second.id
    counts = [
        repository.claimable([DMAP.name], work, **AT_NOON, through=load_id) for load_id in (0, first.id, second.id)
    ]
    assert counts == [{}, {DMAP.name: 1}, {DMAP.name: 2}]


@pytest.mark.parametrize("work", list(Work))
def test_an_expired_claim_is_taken_over_by_another(repository: LoadRepository, work: Work) -> None:
    load = a_load_waiting_for(repository, work)
    claim(repository, work)
    assert claim(repository, work, "run-2/b", now=LATER - timedelta(microseconds=1)) == []
    (held,) = claim(repository, work, "run-2/b", now=LATER, expires_at=LATER + timedelta(minutes=15))
    assert (held.id, held.status, held.claimed_by) == (load.id, HELD[work], "run-2/b")
    assert not repository.holds("run-1/a", load.id)


@pytest.mark.parametrize("work", list(Work))
def test_a_claim_that_a_clock_took_that_is_ahead_is_taken_over(
    repository: LoadRepository, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    load = a_load_waiting_for(repository, work)
    claim(repository, work, expires_at=LATER + timedelta(minutes=1))
    assert repository.claimable([DMAP.name], work, **AT_NOON) == {}
    assert claim(repository, work, "run-2/b") == []

    repository.renew("run-1/a", LATER + timedelta(days=1))
    assert repository.claimable([DMAP.name], work, **AT_NOON) == {DMAP.name: 1}
    (held,) = claim(repository, work, "run-2/b")
    assert (held.id, held.claimed_by, held.claim_expires_at) == (load.id, "run-2/b", LATER)
    assert not repository.holds("run-1/a", load.id)
    assert "the clock that made it is ahead; it is of run-1/a, until 2022-03-05 12:15:00" in caplog.text


def test_a_version_does_not_wait_for_another_that_a_clock_holds_that_is_ahead(repository: LoadRepository) -> None:
    key = f"{DMAP.prefix}a.csv"
    repository.register([an_arrival(key=key)])
    place(repository, repository.versions(key))
    claim(repository, expires_at=LATER + timedelta(days=1))
    repository.register([an_arrival(key=key, etag='"e2"')])
    place(repository, repository.versions(key)[1:])
    assert len(claim(repository, claimant="run-2/b")) == 2


@pytest.mark.parametrize(("pause", "is_over"), [(timedelta(hours=1), False), (timedelta(days=1), True)])
def test_a_pause_that_a_clock_set_that_is_ahead_is_over(
    repository: LoadRepository, pause: timedelta, *, is_over: bool
) -> None:
    (planned,) = ready(repository, "a.csv")
    claim(repository)
    repository.release("run-1/a", retry_at=NOON + pause)
    (unplanned,) = register(repository, "b.csv")
    repository.wait(unplanned.id, "waits for its .dfm sidecar", NOON + pause)
    assert [load.id for load in repository.unplanned([DMAP.name], NOON, 10)] == [unplanned.id] * is_over
    assert repository.claimable([DMAP.name], Work.INGEST, **AT_NOON) == ({DMAP.name: 1} if is_over else {})
    assert [load.id for load in claim(repository)] == [planned.id] * is_over


@pytest.mark.parametrize("work", list(Work))
def test_all_that_a_holder_has_is_listed_and_given_back_with_its_tries_counted(
    repository: LoadRepository, work: Work
) -> None:
    load = a_load_waiting_for(repository, work)
    before = reread(repository, load)
    repository.count_tries("run-1/a", claim(repository, work, "run-1/a"))
    ready(repository, "b.csv", "c.csv")
    claim(repository, claimant="run-1/ab", limit=1)
    repository.claim_catalog([DMAP.name], claimant="run-2/c", **AT_NOON, n_tables=1, n_changes=1)

    has_changes = work in {Work.ARCHIVE, Work.REPLAY}
    held = [Holding(Right.LOADS, DMAP.name, "run-1/a", LATER, 1), Holding(Right.LOADS, DMAP.name, "run-1/ab", LATER, 1)]
    told = [Holding(Right.CATALOG, DMAP.name, "run-2/c", LATER)] if has_changes else []
    assert repository.holdings() == held + told
    assert sorted(repository.holders()) == [holding.holder for holding in held + told]

    assert repository.release_holder("run-1/a", retry_at=NOON) == 1
    assert repository.holdings() == held[1:] + told
    repository.release_holder("run-2/c", retry_at=NOON)
    assert repository.holdings() == held[1:]
    after = reread(repository, load)
    assert (after.status, after.claimed_by) == (before.status, None)
    assert after.attempts == before.attempts + 1


@pytest.mark.parametrize("work", [Work.INGEST, Work.REPLAY])
def test_a_try_is_counted_when_work_begins_not_when_a_load_is_claimed(repository: LoadRepository, work: Work) -> None:
    a_load_waiting_for(repository, work)
    (first,) = claim(repository, work)
    assert (first.attempts, reread(repository, first).attempts) == (0, 0)
    repository.count_tries("run-1/a", [first])
    assert reread(repository, first).attempts == 1
    (second,) = claim(repository, work, "run-2/b", now=LATER)
    assert second.attempts == 1


def test_a_try_is_counted_once_however_often_the_same_call_is_made(repository: LoadRepository) -> None:
    ready(repository, "a.csv", "b.csv", "c.csv")
    held = claim(repository)
    repository.count_tries("run-1/a", held[:1])
    again = [reread(repository, load) for load in held]
    for _ in range(2):
        repository.count_tries("run-1/a", again)
    assert [reread(repository, load).attempts for load in held] == [2, 1, 1]


def test_only_the_holder_counts_tries(repository: LoadRepository) -> None:
    ready(repository, "a.csv")
    (load,) = claim(repository)
    repository.count_tries("run-2/b", [load])
    assert reread(repository, load).attempts == 0


def test_a_load_is_given_back_with_its_reason_until_it_is_claimed_again(repository: LoadRepository) -> None:
    ready(repository, "a.csv")
    (load,) = claim(repository)
    repository.count_tries("run-1/a", [load])
    repository.release("run-1/a", retry_at=NOON, reason="x" * 3_000)
    given_back = reread(repository, load)
    assert (given_back.waits_for, given_back.attempts) == ("x" * 2_000, 1)
    (held,) = claim(repository, claimant="run-1/b")
    assert (held.waits_for, reread(repository, load).waits_for) == (None, None)


@pytest.mark.parametrize("work", [Work.INGEST, Work.REPLAY])
def test_a_load_that_is_not_to_blame_is_given_back_without_a_try(repository: LoadRepository, work: Work) -> None:
    a_load_waiting_for(repository, work)
    (load,) = claim(repository, work)
    repository.count_tries("run-1/a", [load])
    assert repository.release("run-1/a", retry_at=NOON, load_ids=[load.id], is_try=False) == 1
    assert reread(repository, load).attempts == 0


def test_a_renewed_claim_does_not_expire(repository: LoadRepository) -> None:
    ready(repository, "a.csv", "b.csv")
    claim(repository)
    assert repository.renew("run-1/a", AT_LATER["expires_at"]) == 2
    assert claim(repository, claimant="run-2/b", **AT_LATER) == []
    assert repository.renew("run-2/b", LATER) == 0


def test_o10_claims_are_ordered_by_source_time_then_modified_then_id(repository: LoadRepository) -> None:
    for name, minutes in (("c", 0), ("a", 1), ("b", 0), ("d", 2)):
        at = NOON + timedelta(minutes=minutes)
        repository.register([an_arrival(key=f"{DMAP.prefix}{name}.csv", modified_at=at)])
    by_name = {load.version.file_name[0]: load for load in repository.loads()}
    hours = {"a": 1, "b": 1, "c": 1, "d": 0}
    repository.place([Placement(by_name[name].id, NOON + timedelta(hours=at), DAY) for name, at in hours.items()])
    assert [load.version.file_name[0] for load in claim(repository, limit=3)] == ["d", "c", "b"]
    assert [load.version.file_name[0] for load in claim(repository, claimant="run-1/b")] == ["a"]


def test_only_the_partitions_asked_for_are_claimed(repository: LoadRepository) -> None:
    first, second = register(repository, "a.csv", "b.csv")
    place(repository, [first], "2022-03-04")
    place(repository, [second], "2022-03-05")
    assert [load.id for load in claim(repository, partition_keys=["2022-03-05", "2022-03-06"])] == [second.id]


def test_a_replay_of_partitions_takes_all_that_is_archived_there(repository: LoadRepository) -> None:
    loads = archived(repository, "a.csv", "b.csv")
    repository.mark_replay([loads[0].id])
    assert [load.id for load in claim(repository, Work.REPLAY)] == [loads[0].id]
    assert [load.id for load in claim(repository, Work.REPLAY, "run-2/b", partition_keys=[DAY])] == [loads[1].id]


def test_an_unplanned_load_can_go_to_error_but_not_be_ingested(repository: LoadRepository) -> None:
    (load,) = register(repository, "a.csv")
    assert claim(repository) == []
    assert repository.reject(load.id, LoadError("bad", "It is bad."))
    assert [held.id for held in claim(repository, Work.ERROR)] == [load.id]


def test_released_loads_wait_for_their_next_try(repository: LoadRepository) -> None:
    first, second = ready(repository, "a.csv", "b.csv")
    claim(repository)
    again_at = NOON + timedelta(minutes=1)
    assert repository.release("run-1/a", retry_at=again_at, load_ids=[first.id]) == 1
    assert repository.release("run-2/b", retry_at=again_at) == 0
    assert reread(repository, second).status is LoadStatus.INGESTING
    assert repository.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {}
    (held,) = claim(repository, claimant="run-2/b", now=again_at)
    assert (held.id, held.retry_at) == (first.id, None)


def test_a_run_gives_back_all_of_its_claims_and_no_other_runs(repository: LoadRepository) -> None:
    ready(repository, "a.csv", "b.csv", "c.csv")
    for claimant in ("run_1/a", "run_1/b", "RUN_1/c"):
        claim(repository, claimant=claimant, limit=1)
    assert repository.release_runs("run_1", retry_at=NOON) == 2
    assert repository.release_runs("run", retry_at=NOON) == 0


def test_a_version_is_held_back_while_somebody_else_ingests_another_of_the_same_key(repository: LoadRepository) -> None:
    key = f"{DMAP.prefix}a.csv"
    repository.register([an_arrival(key=key)])
    place(repository, repository.versions(key))
    claim(repository)
    repository.register([an_arrival(key=key, etag='"e2"')])
    place(repository, repository.versions(key)[1:])
    assert repository.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {}
    assert claim(repository, claimant="run-2/b") == []
    assert [load.version.etag for load in claim(repository)] == ['"e2"']
    assert len(claim(repository, claimant="run-2/b", now=LATER)) == 2


def test_concurrent_claimants_share_no_load_and_leave_none(repository: LoadRepository) -> None:
    loads = ready(repository, *(f"{number}.csv" for number in range(120)))
    start = Barrier(4)

    def work(claimant: str) -> list[int]:
        start.wait()
        mine: list[int] = []
        while held := claim(repository, claimant=claimant, limit=7):
            mine += [load.id for load in held]
        return mine

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(work, "abcd"))
    assert sorted(load_id for share in shares for load_id in share) == sorted(load.id for load in loads)


def test_concurrent_claimants_do_not_ingest_two_versions_of_one_key(repository: LoadRepository) -> None:
    keys = [f"{DMAP.prefix}{number}.csv" for number in range(30)]
    for etag in ("1", "2"):
        repository.register([an_arrival(key=key, etag=etag) for key in keys])
    place(repository, repository.loads())
    start = Barrier(4)

    def work(claimant: str) -> list[Load]:
        start.wait()
        return [load for _ in range(10) for load in claim(repository, claimant=claimant, limit=2)]

    with ThreadPoolExecutor(4) as threads:
        held = [load for share in threads.map(work, "abcd") for load in share]
    claimants = {key: {load.claimed_by for load in held if load.version.key == key} for key in keys}
    assert {key: len(holders) for key, holders in claimants.items() if holders} == dict.fromkeys(keys, 1)


def test_completing_ends_the_count_of_attempts(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    repository.count_tries("run-1/a", claim(repository))
    repository.complete_ingest("run-1/a", [an_ingested(load)])
    assert reread(repository, load).attempts == 0
