"""What every load ledger promises of claims: nobody shares a load, and nothing stays stuck."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.holding import Holding, Right
from cubic_ingestion.domain.load import Load, LoadError, Placement
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
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


def a_load_waiting_for(ledger: Ledger, work: Work, name: str = "a.csv") -> Load:
    """Bring a load to where it waits for some work."""
    if work is Work.ERROR:
        (load,) = ready(ledger, name)
        ledger.outcomes.reject(load.id, LoadError("bad", "It is bad."))
        return load
    (load,) = {Work.INGEST: ready, Work.ARCHIVE: ingested, Work.REPLAY: archived}[work](ledger, name)
    if work is Work.REPLAY:
        ledger.outcomes.mark_replay([load.id])
    return load


@pytest.mark.parametrize("work", list(Work))
def test_a_claimed_load_is_held_and_not_given_out_again(ledger: Ledger, work: Work) -> None:
    load = a_load_waiting_for(ledger, work)
    before = reread(ledger, load).status
    assert ledger.claims.claimable([DMAP.name], work, **AT_NOON) == {DMAP.name: 1}
    (held,) = claim(ledger, work)
    assert held == reread(ledger, load)
    assert (held.status, held.claimed_by, held.claim_expires_at) == (HELD[work], "run-1/a", LATER)
    assert ledger.claims.holds("run-1/a", load.id)
    assert not ledger.claims.holds("run-1/b", load.id)
    assert claim(ledger, work, "run-1/b") == []
    assert ledger.claims.claimable([DMAP.name], work, **AT_NOON) == {}
    assert ledger.claims.release("run-1/a", retry_at=NOON) == 1
    assert reread(ledger, load).status == before
    assert not ledger.claims.holds("run-1/a", load.id)


@pytest.mark.parametrize("work", list(Work))
def test_what_is_claimable_can_be_counted_up_to_a_load(ledger: Ledger, work: Work) -> None:
    assert ledger.queries.newest_id() == 0
    first = a_load_waiting_for(ledger, work, "a.csv")
    second = a_load_waiting_for(ledger, work, "b.csv")
    assert ledger.queries.newest_id() == second.id
    counts = [
        ledger.claims.claimable([DMAP.name], work, **AT_NOON, through=load_id) for load_id in (0, first.id, second.id)
    ]
    assert counts == [{}, {DMAP.name: 1}, {DMAP.name: 2}]


@pytest.mark.parametrize("work", list(Work))
def test_an_expired_claim_is_taken_over_by_another(ledger: Ledger, work: Work) -> None:
    load = a_load_waiting_for(ledger, work)
    claim(ledger, work)
    assert claim(ledger, work, "run-2/b", now=LATER - timedelta(microseconds=1)) == []
    (held,) = claim(ledger, work, "run-2/b", now=LATER, expires_at=LATER + timedelta(minutes=15))
    assert (held.id, held.status, held.claimed_by) == (load.id, HELD[work], "run-2/b")
    assert not ledger.claims.holds("run-1/a", load.id)


@pytest.mark.parametrize("work", list(Work))
def test_a_claim_that_a_clock_took_that_is_ahead_is_taken_over(
    ledger: Ledger, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    load = a_load_waiting_for(ledger, work)
    claim(ledger, work, expires_at=LATER + timedelta(minutes=1))
    assert ledger.claims.claimable([DMAP.name], work, **AT_NOON) == {}
    assert claim(ledger, work, "run-2/b") == []

    ledger.claims.renew("run-1/a", LATER + timedelta(days=1))
    assert ledger.claims.claimable([DMAP.name], work, **AT_NOON) == {DMAP.name: 1}
    (held,) = claim(ledger, work, "run-2/b")
    assert (held.id, held.claimed_by, held.claim_expires_at) == (load.id, "run-2/b", LATER)
    assert not ledger.claims.holds("run-1/a", load.id)
    assert "the clock that made it is ahead; it is of run-1/a, until 2022-03-05 12:15:00" in caplog.text


def test_a_version_does_not_wait_for_another_that_a_clock_holds_that_is_ahead(ledger: Ledger) -> None:
    key = f"{DMAP.prefix}a.csv"
    ledger.intake.register([an_arrival(key=key)])
    place(ledger, ledger.queries.versions(key))
    claim(ledger, expires_at=LATER + timedelta(days=1))
    ledger.intake.register([an_arrival(key=key, etag='"e2"')])
    place(ledger, ledger.queries.versions(key)[1:])
    assert len(claim(ledger, claimant="run-2/b")) == 2


@pytest.mark.parametrize(("pause", "is_over"), [(timedelta(hours=1), False), (timedelta(days=1), True)])
def test_a_pause_that_a_clock_set_that_is_ahead_is_over(ledger: Ledger, pause: timedelta, *, is_over: bool) -> None:
    (planned,) = ready(ledger, "a.csv")
    claim(ledger)
    ledger.claims.release("run-1/a", retry_at=NOON + pause)
    (unplanned,) = register(ledger, "b.csv")
    ledger.plans.wait(unplanned.id, "waits for its .dfm sidecar", NOON + pause)
    assert [load.id for load in ledger.plans.unplanned([DMAP.name], NOON, 10)] == [unplanned.id] * is_over
    assert ledger.claims.claimable([DMAP.name], Work.INGEST, **AT_NOON) == ({DMAP.name: 1} if is_over else {})
    assert [load.id for load in claim(ledger)] == [planned.id] * is_over


@pytest.mark.parametrize("work", list(Work))
def test_all_that_a_holder_has_is_listed_and_given_back_with_its_tries_counted(ledger: Ledger, work: Work) -> None:
    load = a_load_waiting_for(ledger, work)
    before = reread(ledger, load)
    ledger.claims.count_tries("run-1/a", claim(ledger, work, "run-1/a"))
    ready(ledger, "b.csv", "c.csv")
    claim(ledger, claimant="run-1/ab", limit=1)
    ledger.deliveries[Consumer.CATALOG].claim([DMAP.name], claimant="run-2/c", **AT_NOON, n_tables=1, n_changes=1)

    has_changes = work in {Work.ARCHIVE, Work.REPLAY}
    held = [Holding(Right.LOADS, DMAP.name, "run-1/a", LATER, 1), Holding(Right.LOADS, DMAP.name, "run-1/ab", LATER, 1)]
    tables = [Holding(Right.DELIVERIES, DMAP.name, "run-2/c", LATER, consumer=Consumer.CATALOG)] if has_changes else []
    assert ledger.claims.holdings() == held + tables
    assert sorted(ledger.claims.holders()) == [holding.holder for holding in held + tables]

    assert ledger.claims.release_holder("run-1/a", retry_at=NOON) == 1
    assert ledger.claims.holdings() == held[1:] + tables
    ledger.claims.release_holder("run-2/c", retry_at=NOON)
    assert ledger.claims.holdings() == held[1:]
    after = reread(ledger, load)
    assert (after.status, after.claimed_by) == (before.status, None)
    assert after.attempts == before.attempts + 1


@pytest.mark.parametrize("work", [Work.INGEST, Work.REPLAY])
def test_a_try_is_counted_when_work_begins_not_when_a_load_is_claimed(ledger: Ledger, work: Work) -> None:
    a_load_waiting_for(ledger, work)
    (first,) = claim(ledger, work)
    assert (first.attempts, reread(ledger, first).attempts) == (0, 0)
    ledger.claims.count_tries("run-1/a", [first])
    assert reread(ledger, first).attempts == 1
    (second,) = claim(ledger, work, "run-2/b", now=LATER)
    assert second.attempts == 1


def test_a_try_is_counted_once_however_often_the_same_call_is_made(ledger: Ledger) -> None:
    ready(ledger, "a.csv", "b.csv", "c.csv")
    held = claim(ledger)
    ledger.claims.count_tries("run-1/a", held[:1])
    again = [reread(ledger, load) for load in held]
    for _ in range(2):
        ledger.claims.count_tries("run-1/a", again)
    assert [reread(ledger, load).attempts for load in held] == [2, 1, 1]


def test_only_the_holder_counts_tries(ledger: Ledger) -> None:
    ready(ledger, "a.csv")
    (load,) = claim(ledger)
    ledger.claims.count_tries("run-2/b", [load])
    assert reread(ledger, load).attempts == 0


def test_a_load_is_given_back_with_its_reason_until_it_is_claimed_again(ledger: Ledger) -> None:
    ready(ledger, "a.csv")
    (load,) = claim(ledger)
    ledger.claims.count_tries("run-1/a", [load])
    ledger.claims.release("run-1/a", retry_at=NOON, reason="x" * 3_000)
    given_back = reread(ledger, load)
    assert (given_back.waits_for, given_back.attempts) == ("x" * 2_000, 1)
    (held,) = claim(ledger, claimant="run-1/b")
    assert (held.waits_for, reread(ledger, load).waits_for) == (None, None)


@pytest.mark.parametrize("work", [Work.INGEST, Work.REPLAY])
def test_a_load_that_is_not_to_blame_is_given_back_without_a_try(ledger: Ledger, work: Work) -> None:
    a_load_waiting_for(ledger, work)
    (load,) = claim(ledger, work)
    ledger.claims.count_tries("run-1/a", [load])
    assert ledger.claims.release("run-1/a", retry_at=NOON, load_ids=[load.id], is_try=False) == 1
    assert reread(ledger, load).attempts == 0


def test_a_renewed_claim_does_not_expire(ledger: Ledger) -> None:
    ready(ledger, "a.csv", "b.csv")
    claim(ledger)
    assert ledger.claims.renew("run-1/a", AT_LATER["expires_at"]) == 2
    assert claim(ledger, claimant="run-2/b", **AT_LATER) == []
    assert ledger.claims.renew("run-2/b", LATER) == 0


def test_o10_claims_are_ordered_by_source_time_then_modified_then_id(ledger: Ledger) -> None:
    for name, minutes in (("c", 0), ("a", 1), ("b", 0), ("d", 2)):
        at = NOON + timedelta(minutes=minutes)
        ledger.intake.register([an_arrival(key=f"{DMAP.prefix}{name}.csv", modified_at=at)])
    by_name = {load.version.file_name[0]: load for load in ledger.queries.loads()}
    hours = {"a": 1, "b": 1, "c": 1, "d": 0}
    ledger.plans.place([Placement(by_name[name].id, NOON + timedelta(hours=at), DAY) for name, at in hours.items()])
    assert [load.version.file_name[0] for load in claim(ledger, limit=3)] == ["d", "c", "b"]
    assert [load.version.file_name[0] for load in claim(ledger, claimant="run-1/b")] == ["a"]


def test_only_the_partitions_asked_for_are_claimed(ledger: Ledger) -> None:
    first, second = register(ledger, "a.csv", "b.csv")
    place(ledger, [first], "2022-03-04")
    place(ledger, [second], "2022-03-05")
    assert [load.id for load in claim(ledger, partition_keys=["2022-03-05", "2022-03-06"])] == [second.id]


def test_a_replay_of_partitions_takes_all_that_is_archived_there(ledger: Ledger) -> None:
    loads = archived(ledger, "a.csv", "b.csv")
    ledger.outcomes.mark_replay([loads[0].id])
    assert [load.id for load in claim(ledger, Work.REPLAY)] == [loads[0].id]
    assert [load.id for load in claim(ledger, Work.REPLAY, "run-2/b", partition_keys=[DAY])] == [loads[1].id]


def test_an_unplanned_load_can_go_to_error_but_not_be_ingested(ledger: Ledger) -> None:
    (load,) = register(ledger, "a.csv")
    assert claim(ledger) == []
    assert ledger.outcomes.reject(load.id, LoadError("bad", "It is bad."))
    assert [held.id for held in claim(ledger, Work.ERROR)] == [load.id]


def test_released_loads_wait_for_their_next_try(ledger: Ledger) -> None:
    first, second = ready(ledger, "a.csv", "b.csv")
    claim(ledger)
    again_at = NOON + timedelta(minutes=1)
    assert ledger.claims.release("run-1/a", retry_at=again_at, load_ids=[first.id]) == 1
    assert ledger.claims.release("run-2/b", retry_at=again_at) == 0
    assert reread(ledger, second).status is LoadStatus.INGESTING
    assert ledger.claims.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {}
    (held,) = claim(ledger, claimant="run-2/b", now=again_at)
    assert (held.id, held.retry_at) == (first.id, None)


def test_a_run_gives_back_all_of_its_claims_and_no_other_runs(ledger: Ledger) -> None:
    ready(ledger, "a.csv", "b.csv", "c.csv")
    for claimant in ("run_1/a", "run_1/b", "RUN_1/c"):
        claim(ledger, claimant=claimant, limit=1)
    assert ledger.claims.release_runs("run_1", retry_at=NOON) == 2
    assert ledger.claims.release_runs("run", retry_at=NOON) == 0


def test_a_version_is_held_back_while_somebody_else_ingests_another_of_the_same_key(ledger: Ledger) -> None:
    key = f"{DMAP.prefix}a.csv"
    ledger.intake.register([an_arrival(key=key)])
    place(ledger, ledger.queries.versions(key))
    claim(ledger)
    ledger.intake.register([an_arrival(key=key, etag='"e2"')])
    place(ledger, ledger.queries.versions(key)[1:])
    assert ledger.claims.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {}
    assert claim(ledger, claimant="run-2/b") == []
    assert [load.version.etag for load in claim(ledger)] == ['"e2"']
    assert len(claim(ledger, claimant="run-2/b", now=LATER)) == 2


def test_concurrent_claimants_share_no_load_and_leave_none(ledger: Ledger) -> None:
    loads = ready(ledger, *(f"{number}.csv" for number in range(120)))
    start = Barrier(4)

    def work(claimant: str) -> list[int]:
        start.wait()
        mine: list[int] = []
        while held := claim(ledger, claimant=claimant, limit=7):
            mine += [load.id for load in held]
        return mine

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(work, "abcd"))
    assert sorted(load_id for share in shares for load_id in share) == sorted(load.id for load in loads)


def test_concurrent_claimants_do_not_ingest_two_versions_of_one_key(ledger: Ledger) -> None:
    keys = [f"{DMAP.prefix}{number}.csv" for number in range(30)]
    for etag in ("1", "2"):
        ledger.intake.register([an_arrival(key=key, etag=etag) for key in keys])
    place(ledger, ledger.queries.loads())
    start = Barrier(4)

    def work(claimant: str) -> list[Load]:
        start.wait()
        return [load for _ in range(10) for load in claim(ledger, claimant=claimant, limit=2)]

    with ThreadPoolExecutor(4) as threads:
        held = [load for share in threads.map(work, "abcd") for load in share]
    claimants = {key: {load.claimed_by for load in held if load.version.key == key} for key in keys}
    assert {key: len(holders) for key, holders in claimants.items() if holders} == dict.fromkeys(keys, 1)


def test_completing_ends_the_count_of_attempts(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.claims.count_tries("run-1/a", claim(ledger))
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)])
    assert reread(ledger, load).attempts == 0
