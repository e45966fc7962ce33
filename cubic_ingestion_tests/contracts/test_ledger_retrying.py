"""What every load ledger promises of errored loads that are brought back, and of loads with a sidecar."""

from datetime import timedelta

from cubic_ingestion.domain.load import Load, LoadError, Placement
from cubic_ingestion.domain.status import LoadStatus, Work
from cubic_ingestion.ledger.ledger import Ledger
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


def errored(ledger: Ledger, name: str) -> Load:
    (load,) = ready(ledger, name, table=CHANGES, snapshot=NOON)
    claim(ledger, table=CHANGES)
    ledger.outcomes.reject(load.id, BAD, claimant="run-1/a")
    claim(ledger, Work.ERROR, table=CHANGES)
    ledger.outcomes.complete_error("run-1/a", {load.id: f"error/{name}"})
    return reread(ledger, load)


def test_an_errored_load_is_as_new_but_for_where_its_original_lies(ledger: Ledger) -> None:
    load = errored(ledger, "a.csv.gz")
    assert ledger.outcomes.retry([load.id]) == [load.id]
    now = reread(ledger, load)
    assert (now.status, now.error_key, now.error) == (LoadStatus.READY, "error/a.csv.gz", None)
    assert (now.partition_key, now.snapshot, now.source_at, now.attempts) == (None, None, None, 0)
    assert (now.retry_at, now.waits_for, now.claimed_by, now.location) == (None, None, None, None)
    assert now.retried_at is not None
    assert now.waiting_since == now.retried_at > now.inserted_at
    assert [found.id for found in ledger.plans.unplanned([CHANGES.name], NOON, 10)] == [load.id]


def test_a_second_retry_and_one_of_a_load_that_is_not_errored_change_nothing(ledger: Ledger) -> None:
    load = errored(ledger, "a.csv.gz")
    (done,) = archived(ledger, "b.csv")
    ledger.outcomes.retry([load.id])
    before = reread(ledger, load), reread(ledger, done)
    assert ledger.outcomes.retry([load.id, done.id, 4711]) == []
    assert (reread(ledger, load), reread(ledger, done)) == before


def test_a_load_whose_place_in_error_is_not_on_record_is_not_brought_back(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.outcomes.reject(load.id, BAD)
    assert ledger.outcomes.retry([load.id]) == []
    assert reread(ledger, load).status is LoadStatus.READY_FOR_ERRORING


def test_a_retried_load_that_is_archived_is_in_error_no_longer(ledger: Ledger) -> None:
    load = errored(ledger, "a.csv.gz")
    ledger.outcomes.retry([load.id])
    place(ledger, [load], snapshot=NOON)
    claim(ledger, table=CHANGES)
    assert ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load)]) == []
    assert reread(ledger, load).error_key == "error/a.csv.gz"
    claim(ledger, Work.ARCHIVE, table=CHANGES)
    assert ledger.outcomes.complete_archive("run-1/a", {load.id: "archive/a.csv.gz"}) == []
    now = reread(ledger, load)
    assert (now.status, now.archive_key, now.error_key) == (LoadStatus.ARCHIVED, "archive/a.csv.gz", None)


def test_a_load_with_a_sidecar_that_is_given_back_unread_is_planned_again(ledger: Ledger) -> None:
    (load,) = register(ledger, "LOAD1.csv.gz", table=BASE)
    ledger.plans.place([Placement(load.id, NOON, DAY, NOON, "e1")])
    claim(ledger, table=BASE)
    assert ledger.claims.release("run-1/a", retry_at=LATER) == 1
    assert reread(ledger, load).partition_key is None
    assert ledger.plans.unplanned([BASE.name], LATER - timedelta(seconds=1), 10) == []
    assert len(ledger.plans.unplanned([BASE.name], LATER, 10)) == 1
    ledger.plans.place([Placement(load.id, NOON, DAY, NOON, "e2")])
    assert reread(ledger, load).sidecar_etag == "e2"


def test_a_load_that_only_moves_keeps_the_sidecar_it_was_planned_with(ledger: Ledger) -> None:
    (load,) = register(ledger, "LOAD1.csv.gz", table=BASE)
    ledger.plans.place([Placement(load.id, NOON, DAY, NOON, "e1")])
    ledger.plans.place([Placement(load.id, NOON, "moved", NOON + timedelta(days=1), "e2")])
    assert (reread(ledger, load).sidecar_etag, reread(ledger, load).partition_key) == ("e1", "moved")


def test_a_load_without_a_sidecar_that_is_given_back_stays_planned(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv", table=DMAP)
    claim(ledger)
    ledger.claims.release("run-1/a", retry_at=NOON)
    assert reread(ledger, load).partition_key == DAY
