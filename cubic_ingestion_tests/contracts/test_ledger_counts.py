"""The suite of ``Ledger``: what watchers are told, the same on every database."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.arrivals import DeliveredDay
from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import FullLoad, LoadTotal, Newest, OpenLoads
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import (
    BASE,
    CHANGES,
    DMAP,
    LATER,
    archived,
    claim,
    ingested,
    place,
    ready,
    register,
)

TABLES = [DMAP, BASE, CHANGES]


class Times:
    """A clock for the ledger that stands until it is set."""

    now = NOON


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def ledger(engine: Engine, times: Times) -> Ledger:
    """Return a ledger with the sample tables whose clock stands at noon."""
    ledger = Ledger(engine, now=lambda: times.now)
    ledger.tables.sync(TABLES)
    return ledger


@pytest.fixture
def watcher(engine: Engine) -> Ledger:
    return Ledger(engine, retry_seconds=0)


def errored(ledger: Ledger, name: str, code: str) -> int:
    """Bring a file to Error."""
    (load,) = ready(ledger, name)
    ledger.outcomes.reject(load.id, LoadError(code, "why"))
    claim(ledger, Work.ERROR, "run-2/a")
    ledger.outcomes.complete_error("run-2/a", {load.id: f"error/{name}"})
    return load.id


def test_an_empty_database_has_nothing_to_tell(ledger: Ledger, watcher: Ledger) -> None:
    assert ledger.queries.loads() == []
    assert (watcher.counts.open_loads(NOON), watcher.counts.errored(), watcher.counts.totals(0)) == ([], [], [])
    assert (watcher.queries.newest_id(), watcher.counts.newest(), watcher.counts.passages(10)) == (0, {}, [])
    assert (watcher.counts.source_times([DMAP.name], 10), watcher.counts.days([DMAP.name], NOON)) == ({}, {})
    assert watcher.counts.full_loads([BASE.name]) == []


def test_open_loads_are_told_with_the_oldest_that_lacks_nothing(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    archived(ledger, "done.csv")
    (waiting,) = register(ledger, "no-sidecar.csv")
    ledger.plans.wait(waiting.id, "waits for its .dfm sidecar", LATER)
    times.now = NOON + timedelta(minutes=3)
    ready(ledger, "a.csv")
    times.now = LATER
    ready(ledger, "b.csv")

    assert watcher.counts.open_loads(NOON) == [
        OpenLoads(DMAP.name, LoadStatus.READY, 3, 1, NOON + timedelta(minutes=3), None)
    ]


def test_a_move_that_is_tried_again_lacks_nothing(ledger: Ledger, watcher: Ledger) -> None:
    ingested(ledger, "a.csv")
    claim(ledger, Work.ARCHIVE)
    ledger.claims.release("run-1/a", retry_at=LATER, reason="could not be reached")

    assert watcher.counts.open_loads(NOON) == [OpenLoads(DMAP.name, LoadStatus.READY_FOR_ARCHIVING, 1, 0, NOON, None)]


def test_an_expired_claim_is_told_and_one_that_stands_is_not(ledger: Ledger, watcher: Ledger) -> None:
    ready(ledger, "a.csv")
    claim(ledger)

    assert [loads.oldest_expired_at for loads in watcher.counts.open_loads(NOON)] == [None]
    assert [loads.oldest_expired_at for loads in watcher.counts.open_loads(LATER)] == [LATER]
    assert [loads.status for loads in watcher.counts.open_loads(LATER)] == [LoadStatus.INGESTING]


def test_a_retried_load_waits_from_its_retry_on(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    load_id = errored(ledger, "a.csv", "bad_value")
    times.now = LATER
    ledger.outcomes.retry([load_id])
    assert [loads.oldest_at for loads in watcher.counts.open_loads(LATER)] == [LATER]


def test_loads_in_error_are_counted_by_code_and_by_time(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    errored(ledger, "a.csv", "bad_value")
    errored(ledger, "b.csv", "bad_value")
    times.now = LATER
    errored(ledger, "c.csv", "empty_file")
    (given_up,) = ready(ledger, "d.csv")
    ledger.outcomes.reject(given_up.id, LoadError("empty_file", "why"))

    assert [(one.code, one.n_loads, one.newest_at, one.n_moving) for one in watcher.counts.errored()] == [
        ("bad_value", 2, NOON, 0),
        ("empty_file", 2, LATER, 1),
    ]
    assert [(one.table, one.code) for one in watcher.counts.errored(LATER)] == [(DMAP.name, "empty_file")]


def test_loads_under_way_are_found_by_their_ids(ledger: Ledger, watcher: Ledger) -> None:
    archived(ledger, "a.csv")
    second, third, fourth = ready(ledger, "b.csv", "c.csv", "d.csv")
    claim(ledger, limit=1)

    assert watcher.queries.newest_id() == fourth.id
    assert watcher.counts.open_ids(0, fourth.id, 10) == [second.id, third.id, fourth.id]
    assert watcher.counts.open_ids(0, fourth.id, 2) == [second.id, third.id]
    assert watcher.counts.open_ids(second.id, third.id, 10) == [third.id]


def test_totals_of_a_stretch_of_ids(ledger: Ledger, watcher: Ledger) -> None:
    first, second = archived(ledger, "a.csv", "b.csv")
    errored(ledger, "c.csv", "bad_value")

    done = LoadTotal(DMAP.name, LoadStatus.ARCHIVED, 2, 6, 0, 600, 200)
    bad = LoadTotal(DMAP.name, LoadStatus.ERRORED, 1, 0, 0, 0, 100)
    assert sorted(watcher.counts.totals(0), key=lambda total: total.status) == [done, bad]
    assert watcher.counts.totals(0, second.id) == [done]
    assert [total.n_loads for total in watcher.counts.totals(first.id, second.id)] == [1]
    assert watcher.counts.totals(0, without=[first.id, second.id]) == watcher.counts.totals_of([second.id + 1]) == [bad]
    assert watcher.counts.totals_of([]) == []


def test_the_newest_data_is_what_can_be_queried(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    archived(ledger, "a.csv")
    times.now = LATER
    place(ledger, register(ledger, "b.csv"), source_at=LATER)

    assert watcher.counts.newest() == {DMAP.name: Newest(NOON, NOON)}
    assert watcher.counts.source_times([DMAP.name, CHANGES.name], 10) == {DMAP.name: [LATER, NOON]}
    assert watcher.counts.source_times([DMAP.name], 1) == {DMAP.name: [LATER]}


def test_a_stretch_of_source_time_has_its_end_and_not_its_beginning(ledger: Ledger, watcher: Ledger) -> None:
    ready(ledger, "a.csv")
    hour = timedelta(hours=1)
    before, after = (NOON - hour, NOON), (NOON, NOON + hour)
    assert watcher.counts.n_heard({DMAP.name: [before, after], CHANGES.name: [before]}) == {
        DMAP.name: 1,
        CHANGES.name: 0,
    }
    assert watcher.counts.n_heard({DMAP.name: [after]}) == {DMAP.name: 0}


def test_a_passage_is_from_landing_to_archive(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    ready(ledger, "open.csv")
    times.now = LATER
    archived(ledger, "a.csv")
    (passage,) = watcher.counts.passages(10)
    assert (passage.table, passage.landed_at, passage.archived_at) == (DMAP.name, NOON, LATER)


def test_a_day_came_with_its_first_file(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    day = datetime(2022, 3, 4, tzinfo=UTC)
    place(ledger, register(ledger, "a.csv"), source_at=day)
    times.now = LATER
    place(ledger, register(ledger, "b.csv"), source_at=day)
    place(ledger, register(ledger, "c.csv"), source_at=day - timedelta(days=30))
    place(ledger, register(ledger, "latest.csv"), source_at=day + timedelta(days=1, hours=5))

    since = NOON - timedelta(days=7)
    assert watcher.counts.days([DMAP.name], since) == {DMAP.name: {day.date(): DeliveredDay(NOON)}}
    assert watcher.counts.days([BASE.name], since) == {}


def test_a_day_whose_every_file_was_rejected_says_so(ledger: Ledger, watcher: Ledger) -> None:
    day = datetime(2022, 3, 4, tzinfo=UTC)
    bad, worse = register(ledger, "a.csv", "b.csv")
    place(ledger, [bad, worse], source_at=day)
    ledger.outcomes.reject(bad.id, LoadError("bad_value", "no number"))
    assert watcher.counts.days([DMAP.name], day) == {DMAP.name: {day.date(): DeliveredDay(NOON)}}
    ledger.outcomes.reject(worse.id, LoadError("bad_value", "no number"))
    assert watcher.counts.days([DMAP.name], day) == {DMAP.name: {day.date(): DeliveredDay(NOON, is_rejected=True)}}


def test_a_full_load_is_that_of_the_newest_snapshot(ledger: Ledger, watcher: Ledger, times: Times) -> None:
    older, newer = datetime(2022, 3, 1, tzinfo=UTC), datetime(2022, 3, 3, tzinfo=UTC)
    for snapshot, key in ((older, "20220301T000000Z"), (newer, "20220303T000000Z")):
        ledger.plans.open_snapshot(BASE.name, Snapshot(snapshot, "k"))
        loads = register(ledger, f"LOAD1-{key}", table=BASE)
        place(ledger, loads, key, source_at=snapshot, snapshot=snapshot)
    times.now = LATER
    register(ledger, "LOAD3", table=BASE)

    names = ["LOAD1-20220303T000000Z", "LOAD3"]
    (found,) = watcher.counts.full_loads([BASE.name, DMAP.name])
    assert found == FullLoad(BASE.name, newer, found.file_names, LATER)
    assert sorted(found.file_names) == names
