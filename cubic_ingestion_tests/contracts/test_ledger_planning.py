"""What every load ledger promises of planning: snapshots, partitions, waiting."""

from datetime import UTC, datetime, timedelta

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
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


def test_unplanned_loads_come_oldest_first_and_not_more_than_asked_for(ledger: Ledger) -> None:
    for number in (3, 1, 2):
        at = NOON + timedelta(hours=number)
        ledger.intake.register([an_arrival(key=f"{DMAP.prefix}{number}.csv", modified_at=at)])
    found = ledger.plans.unplanned([DMAP.name], NOON, 2)
    assert [load.version.file_name for load in found] == ["1.csv", "2.csv"]


def test_a_load_that_waits_is_looked_at_again_when_its_time_has_come(ledger: Ledger) -> None:
    (load,) = register(ledger, "a.csv")
    again_at = NOON + timedelta(minutes=5)
    ledger.plans.wait(load.id, "waits for its sidecar", again_at)
    assert reread(ledger, load).waits_for == "waits for its sidecar"
    assert ledger.plans.unplanned([DMAP.name], again_at - timedelta(microseconds=1), 10) == []
    assert [found.id for found in ledger.plans.unplanned([DMAP.name], again_at, 10)] == [load.id]


def test_a_try_at_planning_is_counted_and_a_mere_wait_is_not(ledger: Ledger) -> None:
    (load,) = register(ledger, "a.csv")
    ledger.plans.wait(load.id, "could not be read", NOON, attempts=1)
    ledger.plans.wait(load.id, "waits for its sidecar", NOON)
    assert (reread(ledger, load).attempts, reread(ledger, load).waits_for) == (1, "waits for its sidecar")


def test_a_placed_load_is_claimable_at_once_and_waits_for_nothing(ledger: Ledger) -> None:
    (load,) = register(ledger, "a.csv")
    ledger.plans.wait(load.id, "waits for its sidecar", NOON + timedelta(days=1))
    place(ledger, [load], "2022-03-04", source_at=NOON)
    now = reread(ledger, load)
    assert (now.partition_key, now.source_at, now.waits_for, now.retry_at) == ("2022-03-04", NOON, None, None)
    assert ledger.plans.unplanned([DMAP.name], NOON + timedelta(days=2), 10) == []
    assert ledger.claims.claimable([DMAP.name], Work.INGEST, **AT_NOON) == {DMAP.name: 1}


def test_a_load_that_was_placed_meanwhile_no_longer_waits(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.plans.wait(load.id, "too late", NOON + timedelta(days=1))
    assert reread(ledger, load).waits_for is None


def test_snapshots_are_opened_once_and_come_oldest_first(ledger: Ledger) -> None:
    assert ledger.plans.open_snapshot(BASE.name, Snapshot(APRIL, "second"))
    assert ledger.plans.open_snapshot(BASE.name, Snapshot(MARCH, "first"))
    assert not ledger.plans.open_snapshot(BASE.name, Snapshot(MARCH, "another key"))
    assert ledger.plans.snapshots(BASE.name) == [Snapshot(MARCH, "first"), Snapshot(APRIL, "second")]
    assert ledger.plans.snapshots(CHANGES.name) == []


def test_a_ready_load_is_moved_to_another_snapshot_without_a_replay(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    place(ledger, [load], "later", snapshot=APRIL)
    now = reread(ledger, load)
    assert (now.snapshot, now.partition_key, now.is_replay_due) == (APRIL, "later", False)


def test_an_ingested_load_whose_snapshot_changes_is_due_for_replay(ledger: Ledger) -> None:
    (load,) = ingested(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    place(ledger, [load], "later", snapshot=APRIL)
    now = reread(ledger, load)
    assert (now.status, now.snapshot, now.is_replay_due) == (LoadStatus.READY_FOR_ARCHIVING, APRIL, True)


def test_placing_an_archived_load_where_it_is_makes_no_replay(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    before = reread(ledger, load)
    place(ledger, [load], snapshot=MARCH)
    assert reread(ledger, load) == before


def test_a_rejected_load_is_not_placed_any_more(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    ledger.outcomes.reject(load.id, LoadError("bad", "It is bad."))
    before = reread(ledger, load)
    place(ledger, [load], "later", snapshot=APRIL)
    assert reread(ledger, load) == before


def test_loads_given_back_with_a_delay_keep_it_when_they_are_placed_again(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv.gz", table=CHANGES, snapshot=MARCH)
    claim(ledger, table=CHANGES)
    ledger.claims.release("run-1/a", retry_at=NOON + timedelta(minutes=1))
    place(ledger, [load], "later", snapshot=APRIL)
    assert claim(ledger, table=CHANGES) == []


def test_loads_of_a_stretch_of_source_time_come_in_its_order_across_pages(ledger: Ledger) -> None:
    loads = register(ledger, *(f"{number:04}.csv" for number in range(1_200)))
    for shift, some in enumerate((loads[::2], loads[1::2])):
        place(ledger, some, source_at=NOON + timedelta(hours=shift))
    found = list(ledger.plans.placed_since([DMAP.name], NOON, NOON + timedelta(hours=2)))
    assert [load.id for load in found] == [load.id for load in (*loads[::2], *loads[1::2])]


def test_the_stretch_of_source_time_has_its_start_and_not_its_end(ledger: Ledger) -> None:
    first, second, third = register(ledger, "a.csv", "b.csv", "c.csv")
    for load, hours in ((first, 0), (second, 1), (third, 2)):
        place(ledger, [load], source_at=NOON + timedelta(hours=hours))
    until = NOON + timedelta(hours=2)
    assert [load.id for load in ledger.plans.placed_since([DMAP.name], NOON, until)] == [first.id, second.id]
    earliest = datetime.min.replace(tzinfo=UTC)
    assert len(list(ledger.plans.placed_since([DMAP.name], earliest, None))) == 3


def test_loads_in_error_and_unplanned_ones_are_in_no_stretch(ledger: Ledger) -> None:
    (bad,) = ready(ledger, "bad.csv")
    register(ledger, "unplanned.csv")
    ledger.outcomes.reject(bad.id, LoadError("bad", "It is bad."))
    assert list(ledger.plans.placed_since([DMAP.name], NOON, None)) == []
