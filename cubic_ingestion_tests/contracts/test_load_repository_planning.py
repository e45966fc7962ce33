"""What every load repository promises of planning: snapshots, partitions, waiting."""

from datetime import UTC, datetime, timedelta

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ports import LoadRepository
from cubic_ingestion_tests.builders import NOON, an_arrival
from cubic_ingestion_tests.contracts.ledgers import (
    AT_NOON,
    BASE,
    CHANGES,
    DMAP,
    archived,
    claim,
    ingested,
    place,
    ready,
    register,
    reread,
)

MARCH, APRIL = datetime(2022, 3, 1, tzinfo=UTC), datetime(2022, 4, 1, tzinfo=UTC)


def test_unplanned_loads_come_oldest_first_and_not_more_than_asked_for(repository: LoadRepository) -> None:
    for number in (3, 1, 2):
        at = NOON + timedelta(hours=number)
        repository.register([an_arrival(key=f"{DMAP.prefix}{number}.csv", modified_at=at)])
    found = repository.unplanned([DMAP.name], NOON, 2)
    assert [load.version.file_name for load in found] == ["1.csv", "2.csv"]


def test_a_load_that_waits_is_looked_at_again_when_its_time_has_come(repository: LoadRepository) -> None:
    (load,) = register(repository, "a.csv")
    again_at = NOON + timedelta(minutes=5)
    repository.wait(load.id, "waits for its sidecar", again_at)
    assert reread(repository, load).waits_for == "waits for its sidecar"
    assert repository.unplanned([DMAP.name], again_at - timedelta(microseconds=1), 10) == []
    assert [found.id for found in repository.unplanned([DMAP.name], again_at, 10)] == [load.id]


def test_a_try_at_planning_is_counted_and_a_mere_wait_is_not(repository: LoadRepository) -> None:
    (load,) = register(repository, "a.csv")
    repository.wait(load.id, "could not be read", NOON, attempts=1)
    repository.wait(load.id, "waits for its sidecar", NOON)
    assert (reread(repository, load).attempts, reread(repository, load).waits_for) == (1, "waits for its sidecar")


def test_a_placed_load_is_claimable_at_once_and_waits_for_nothing(repository: LoadRepository) -> None:
    (load,) = register(repository, "a.csv")
    repository.wait(load.id, "waits for its sidecar", NOON + timedelta(days=1))
    place(repository, [load], "2022-03-04", source_at=NOON)
    now = reread(repository, load)
    assert (now.partition_key, now.source_at, now.waits_for, now.retry_at) == ("2022-03-04", NOON, None, None)
    assert repository.unplanned([DMAP.name], NOON + timedelta(days=2), 10) == []
    assert repository.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {DMAP.name: 1}


def test_a_load_that_was_placed_meanwhile_no_longer_waits(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    repository.wait(load.id, "too late", NOON + timedelta(days=1))
    assert reread(repository, load).waits_for is None


def test_snapshots_are_opened_once_and_come_oldest_first(repository: LoadRepository) -> None:
    assert repository.open_snapshot(BASE.name, Snapshot(APRIL, "second"))
    assert repository.open_snapshot(BASE.name, Snapshot(MARCH, "first"))
    assert not repository.open_snapshot(BASE.name, Snapshot(MARCH, "another key"))
    assert repository.snapshots(BASE.name) == [Snapshot(MARCH, "first"), Snapshot(APRIL, "second")]
    assert repository.snapshots(CHANGES.name) == []


def test_a_ready_load_is_moved_to_another_snapshot_without_a_replay(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    place(repository, [load], "later", snapshot=APRIL)
    now = reread(repository, load)
    assert (now.snapshot, now.partition_key, now.is_replay_due) == (APRIL, "later", False)


def test_an_ingested_load_whose_snapshot_changes_is_due_for_replay(repository: LoadRepository) -> None:
    (load,) = ingested(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    place(repository, [load], "later", snapshot=APRIL)
    now = reread(repository, load)
    assert (now.status, now.snapshot, now.is_replay_due) == (LoadStatus.READY_FOR_ARCHIVING, APRIL, True)


def test_placing_an_archived_load_where_it_is_makes_no_replay(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    before = reread(repository, load)
    place(repository, [load], snapshot=MARCH)
    assert reread(repository, load) == before


def test_a_rejected_load_is_not_placed_any_more(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    repository.reject(load.id, LoadError("bad", "It is bad."))
    before = reread(repository, load)
    place(repository, [load], "later", snapshot=APRIL)
    assert reread(repository, load) == before


def test_loads_given_back_with_a_delay_keep_it_when_they_are_placed_again(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    claim(repository, table=CHANGES)
    repository.release("run-1/a", retry_at=NOON + timedelta(minutes=1))
    place(repository, [load], "later", snapshot=APRIL)
    assert claim(repository, table=CHANGES) == []


def test_loads_of_a_stretch_of_source_time_come_in_its_order_across_pages(repository: LoadRepository) -> None:
    loads = register(repository, *(f"{number:04}.csv" for number in range(1_200)))
    for shift, some in enumerate((loads[::2], loads[1::2])):
        place(repository, some, source_at=NOON + timedelta(hours=shift))
    found = list(repository.placed_since([DMAP.name], NOON, NOON + timedelta(hours=2)))
    assert [load.id for load in found] == [load.id for load in (*loads[::2], *loads[1::2])]


def test_the_stretch_of_source_time_has_its_start_and_not_its_end(repository: LoadRepository) -> None:
    first, second, third = register(repository, "a.csv", "b.csv", "c.csv")
    for load, hours in ((first, 0), (second, 1), (third, 2)):
        place(repository, [load], source_at=NOON + timedelta(hours=hours))
    until = NOON + timedelta(hours=2)
    assert [load.id for load in repository.placed_since([DMAP.name], NOON, until)] == [first.id, second.id]
    earliest = datetime.min.replace(tzinfo=UTC)
    assert len(list(repository.placed_since([DMAP.name], earliest, None))) == 3


def test_loads_in_error_and_unplanned_ones_are_in_no_stretch(repository: LoadRepository) -> None:
    (bad,) = ready(repository, "bad.csv")
    register(repository, "unplanned.csv")
    repository.reject(bad.id, LoadError("bad", "It is bad."))
    assert list(repository.placed_since([DMAP.name], NOON, None)) == []
