"""What every load repository promises of errored loads that are brought back, and of loads with a sidecar."""

from datetime import timedelta

from cubic_ingestion.domain.load import Load, LoadError, Placement
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ports import LoadRepository
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import (
    BASE,
    CHANGES,
    DAY,
    DMAP,
    LATER,
    an_ingested,
    archived,
    claim,
    place,
    ready,
    register,
    reread,
)

BAD = LoadError("bad_value", "It is bad.", row=7, column="amount")


def errored(repository: LoadRepository, name: str) -> Load:
    (load,) = ready(repository, name, table=CHANGES, snapshot=NOON)
    claim(repository, table=CHANGES)
    repository.reject(load.id, BAD, claimant="run-1/a")
    claim(repository, Work.ERROR, table=CHANGES)
    repository.complete_error("run-1/a", {load.id: f"error/{name}"})
    return reread(repository, load)


def test_an_errored_load_is_as_new_but_for_where_its_original_lies(repository: LoadRepository) -> None:
    load = errored(repository, "a.csv.gz")
    assert repository.retry([load.id]) == [load.id]
    now = reread(repository, load)
    assert (now.status, now.error_key, now.error) == (LoadStatus.READY, "error/a.csv.gz", None)
    assert (now.partition_key, now.snapshot, now.source_at, now.attempts) == (None, None, None, 0)
    assert (now.retry_at, now.waits_for, now.claimed_by, now.location) == (None, None, None, None)
    assert now.retried_at is not None
    assert now.waiting_since == now.retried_at > now.inserted_at
    assert [found.id for found in repository.unplanned([CHANGES.name], NOON, 10)] == [load.id]


def test_a_second_retry_and_one_of_a_load_that_is_not_errored_change_nothing(repository: LoadRepository) -> None:
    load = errored(repository, "a.csv.gz")
    (done,) = archived(repository, "b.csv")
    repository.retry([load.id])
    before = reread(repository, load), reread(repository, done)
    assert repository.retry([load.id, done.id, 4711]) == []
    assert (reread(repository, load), reread(repository, done)) == before


def test_a_load_whose_place_in_error_is_not_on_record_is_not_brought_back(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    repository.reject(load.id, BAD)
    assert repository.retry([load.id]) == []
    assert reread(repository, load).status is LoadStatus.READY_FOR_ERRORING


def test_a_retried_load_that_is_archived_is_in_error_no_longer(repository: LoadRepository) -> None:
    load = errored(repository, "a.csv.gz")
    repository.retry([load.id])
    place(repository, [load], snapshot=NOON)
    claim(repository, table=CHANGES)
    assert repository.complete_ingest("run-1/a", [an_ingested(load)]) == []
    assert reread(repository, load).error_key == "error/a.csv.gz"
    claim(repository, Work.ARCHIVE, table=CHANGES)
    assert repository.complete_archive("run-1/a", {load.id: "archive/a.csv.gz"}) == []
    now = reread(repository, load)
    assert (now.status, now.archive_key, now.error_key) == (LoadStatus.ARCHIVED, "archive/a.csv.gz", None)


def test_a_load_with_a_sidecar_that_is_given_back_unread_is_planned_again(repository: LoadRepository) -> None:
    (load,) = register(repository, "LOAD1.csv.gz", table=BASE)
    repository.place([Placement(load.id, NOON, DAY, NOON, "e1")])
    claim(repository, table=BASE)
    assert repository.release("run-1/a", retry_at=LATER) == 1
    assert reread(repository, load).partition_key is None
    assert repository.unplanned([BASE.name], LATER - timedelta(seconds=1), 10) == []
    assert len(repository.unplanned([BASE.name], LATER, 10)) == 1
    repository.place([Placement(load.id, NOON, DAY, NOON, "e2")])
    assert reread(repository, load).sidecar_etag == "e2"


def test_a_load_that_only_moves_keeps_the_sidecar_it_was_planned_with(repository: LoadRepository) -> None:
    (load,) = register(repository, "LOAD1.csv.gz", table=BASE)
    repository.place([Placement(load.id, NOON, DAY, NOON, "e1")])
    repository.place([Placement(load.id, NOON, "moved", NOON + timedelta(days=1), "e2")])
    assert (reread(repository, load).sidecar_etag, reread(repository, load).partition_key) == ("e1", "moved")


def test_a_load_without_a_sidecar_that_is_given_back_stays_planned(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv", table=DMAP)
    claim(repository)
    repository.release("run-1/a", retry_at=NOON)
    assert reread(repository, load).partition_key == DAY
