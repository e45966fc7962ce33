"""The suite of ``LoadObserver``: what watchers are told, the same on every database."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from cubic_ingestion.domain.arrivals import DeliveredDay
from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.metadata_db.sql_load_observer import SqlLoadObserver
from cubic_ingestion.metadata_db.sql_load_repository import SqlLoadRepository
from cubic_ingestion.ports import FullLoad, LoadObserver, LoadTotal, Newest, OpenLoads
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
    """A clock for the repository that stands until it is set."""

    now = NOON


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def repository(engine: Engine, times: Times) -> SqlLoadRepository:
    """Return a repository with the sample tables whose clock stands at noon."""
    repository = SqlLoadRepository(engine, now=lambda: times.now)
    repository.sync_tables(TABLES)
    return repository


@pytest.fixture
def observer(engine: Engine) -> LoadObserver:
    return SqlLoadObserver(engine)


def errored(repository: SqlLoadRepository, name: str, code: str) -> int:
    """Bring a file to Error."""
    (load,) = ready(repository, name)
    repository.reject(load.id, LoadError(code, "why"))
    claim(repository, Work.ERROR, "run-2/a")
    repository.complete_error("run-2/a", {load.id: f"error/{name}"})
    return load.id


def test_an_empty_database_has_nothing_to_tell(repository: SqlLoadRepository, observer: LoadObserver) -> None:
    assert repository.loads() == []
    assert (observer.open_loads(NOON), observer.errored(), observer.totals(0)) == ([], [], [])
    assert (observer.newest_id(), observer.newest(), observer.passages(10)) == (0, {}, [])
    assert (observer.source_times([DMAP.name], 10), observer.days([DMAP.name], NOON)) == ({}, {})
    assert observer.full_loads([BASE.name]) == []


def test_open_loads_are_told_with_the_oldest_that_lacks_nothing(
    repository: SqlLoadRepository, observer: LoadObserver, times: Times
) -> None:
    archived(repository, "done.csv")
    (waiting,) = register(repository, "no-sidecar.csv")
    repository.wait(waiting.id, "waits for its .dfm sidecar", LATER)
    times.now = NOON + timedelta(minutes=3)
    ready(repository, "a.csv")
    times.now = LATER
    ready(repository, "b.csv")

    assert observer.open_loads(NOON) == [
        OpenLoads(DMAP.name, LoadStatus.READY, 3, 1, NOON + timedelta(minutes=3), None)
    ]


def test_a_move_that_is_tried_again_lacks_nothing(repository: SqlLoadRepository, observer: LoadObserver) -> None:
    ingested(repository, "a.csv")
    claim(repository, Work.ARCHIVE)
    repository.release("run-1/a", retry_at=LATER, reason="could not be reached")

    assert observer.open_loads(NOON) == [OpenLoads(DMAP.name, LoadStatus.READY_FOR_ARCHIVING, 1, 0, NOON, None)]


def test_an_expired_claim_is_told_and_one_that_stands_is_not(
    repository: SqlLoadRepository, observer: LoadObserver
) -> None:
    ready(repository, "a.csv")
    claim(repository)

    assert [loads.oldest_expired_at for loads in observer.open_loads(NOON)] == [None]
    assert [loads.oldest_expired_at for loads in observer.open_loads(LATER)] == [LATER]
    assert [loads.status for loads in observer.open_loads(LATER)] == [LoadStatus.INGESTING]


def test_a_retried_load_waits_from_its_retry_on(
    repository: SqlLoadRepository, observer: LoadObserver, times: Times
) -> None:
    load_id = errored(repository, "a.csv", "bad_value")
    times.now = LATER
    repository.retry([load_id])
    assert [loads.oldest_at for loads in observer.open_loads(LATER)] == [LATER]


def test_loads_in_error_are_counted_by_code_and_by_time(
    repository: SqlLoadRepository, observer: LoadObserver, times: Times
) -> None:
    errored(repository, "a.csv", "bad_value")
    errored(repository, "b.csv", "bad_value")
    times.now = LATER
    errored(repository, "c.csv", "empty_file")
    (given_up,) = ready(repository, "d.csv")
    repository.reject(given_up.id, LoadError("empty_file", "why"))

    assert [(one.code, one.n_loads, one.newest_at, one.n_moving) for one in observer.errored()] == [
        ("bad_value", 2, NOON, 0),
        ("empty_file", 2, LATER, 1),
    ]
    assert [(one.table, one.code) for one in observer.errored(LATER)] == [(DMAP.name, "empty_file")]


def test_loads_under_way_are_found_by_their_ids(repository: SqlLoadRepository, observer: LoadObserver) -> None:
    archived(repository, "a.csv")
    second, third, fourth = ready(repository, "b.csv", "c.csv", "d.csv")
    claim(repository, limit=1)

    assert observer.newest_id() == fourth.id
    assert observer.open_ids(0, fourth.id, 10) == [second.id, third.id, fourth.id]
    assert observer.open_ids(0, fourth.id, 2) == [second.id, third.id]
    assert observer.open_ids(second.id, third.id, 10) == [third.id]


def test_totals_of_a_stretch_of_ids(repository: SqlLoadRepository, observer: LoadObserver) -> None:
    first, second = archived(repository, "a.csv", "b.csv")
    errored(repository, "c.csv", "bad_value")

    done = LoadTotal(DMAP.name, LoadStatus.ARCHIVED, 2, 6, 0, 600, 200)
    bad = LoadTotal(DMAP.name, LoadStatus.ERRORED, 1, 0, 0, 0, 100)
    assert sorted(observer.totals(0), key=lambda total: total.status) == [done, bad]
    assert observer.totals(0, second.id) == [done]
    assert [total.n_loads for total in observer.totals(first.id, second.id)] == [1]
    assert observer.totals(0, without=[first.id, second.id]) == observer.totals_of([second.id + 1]) == [bad]
    assert observer.totals_of([]) == []


def test_the_newest_data_is_what_can_be_queried(
    repository: SqlLoadRepository, observer: LoadObserver, times: Times
) -> None:
    archived(repository, "a.csv")
    times.now = LATER
    place(repository, register(repository, "b.csv"), source_at=LATER)

    assert observer.newest() == {DMAP.name: Newest(NOON, NOON)}
    assert observer.source_times([DMAP.name, CHANGES.name], 10) == {DMAP.name: [LATER, NOON]}
    assert observer.source_times([DMAP.name], 1) == {DMAP.name: [LATER]}


def test_a_stretch_of_source_time_has_its_end_and_not_its_beginning(
    repository: SqlLoadRepository, observer: LoadObserver
) -> None:
    ready(repository, "a.csv")
    hour = timedelta(hours=1)
    before, after = (NOON - hour, NOON), (NOON, NOON + hour)
    assert observer.n_heard({DMAP.name: [before, after], CHANGES.name: [before]}) == {DMAP.name: 1, CHANGES.name: 0}
    assert observer.n_heard({DMAP.name: [after]}) == {DMAP.name: 0}


def test_a_passage_is_from_landing_to_archive(
    repository: SqlLoadRepository, observer: LoadObserver, times: Times
) -> None:
    ready(repository, "open.csv")
    times.now = LATER
    archived(repository, "a.csv")
    (passage,) = observer.passages(10)
    assert (passage.table, passage.landed_at, passage.archived_at) == (DMAP.name, NOON, LATER)


def test_a_day_came_with_its_first_file(repository: SqlLoadRepository, observer: LoadObserver, times: Times) -> None:
    day = datetime(2022, 3, 4, tzinfo=UTC)
    place(repository, register(repository, "a.csv"), source_at=day)
    times.now = LATER
    place(repository, register(repository, "b.csv"), source_at=day)
    place(repository, register(repository, "c.csv"), source_at=day - timedelta(days=30))
    place(repository, register(repository, "latest.csv"), source_at=day + timedelta(days=1, hours=5))

    since = NOON - timedelta(days=7)
    assert observer.days([DMAP.name], since) == {DMAP.name: {day.date(): DeliveredDay(NOON)}}
    assert observer.days([BASE.name], since) == {}


def test_a_day_whose_every_file_was_rejected_says_so(repository: SqlLoadRepository, observer: LoadObserver) -> None:
    day = datetime(2022, 3, 4, tzinfo=UTC)
    bad, worse = register(repository, "a.csv", "b.csv")
    place(repository, [bad, worse], source_at=day)
    repository.reject(bad.id, LoadError("bad_value", "no number"))
    assert observer.days([DMAP.name], day) == {DMAP.name: {day.date(): DeliveredDay(NOON)}}
    repository.reject(worse.id, LoadError("bad_value", "no number"))
    assert observer.days([DMAP.name], day) == {DMAP.name: {day.date(): DeliveredDay(NOON, is_rejected=True)}}


def test_a_full_load_is_that_of_the_newest_snapshot(
    repository: SqlLoadRepository, observer: LoadObserver, times: Times
) -> None:
    older, newer = datetime(2022, 3, 1, tzinfo=UTC), datetime(2022, 3, 3, tzinfo=UTC)
    for snapshot, key in ((older, "20220301T000000Z"), (newer, "20220303T000000Z")):
        repository.open_snapshot(BASE.name, Snapshot(snapshot, "k"))
        loads = register(repository, f"LOAD1-{key}", table=BASE)
        place(repository, loads, key, source_at=snapshot, snapshot=snapshot)
    times.now = LATER
    register(repository, "LOAD3", table=BASE)

    names = ["LOAD1-20220303T000000Z", "LOAD3"]
    (found,) = observer.full_loads([BASE.name, DMAP.name])
    assert found == FullLoad(BASE.name, newer, found.file_names, LATER)
    assert sorted(found.file_names) == names
