"""What every ledger of the partitions that Dagster has yet to show promises."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from cubic_ingestion.domain.changes import WHOLE_TABLE, Consumer
from cubic_ingestion.domain.holding import CLOCK_TOLERANCE
from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Column
from cubic_ingestion.ledger.deliveries import Deliveries
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import TableDeliveries
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import (
    AT_LATER,
    AT_NOON,
    BASE,
    CHANGES,
    DAY,
    DMAP,
    LATER,
    Term,
    an_ingested,
    archived,
    claim,
    ingested,
    place,
    ready,
    register,
)

TABLES = (DMAP.name, BASE.name, CHANGES.name)
ERROR = LoadError("bad_value", "It is bad.")


def dagster(ledger: Ledger) -> Deliveries:
    return ledger.deliveries[Consumer.DAGSTER]


def claim_dagster(
    ledger: Ledger, claimant: str = "run-1/a", partition_keys: Collection[str] | None = None
) -> Sequence[TableDeliveries]:
    """Claim at noon for a quarter of an hour."""
    return dagster(ledger).claim(
        TABLES,
        claimant=claimant,
        now=NOON,
        expires_at=LATER,
        n_tables=10,
        n_changes=100,
        partition_keys=partition_keys,
    )


def taken(ledger: Ledger) -> list[tuple[str, str]]:
    """Claim all changes, forget them, and return them as table and partition."""
    found: list[tuple[str, str]] = []
    for work in claim_dagster(ledger):
        found += [(work.table, partition) for partition in work.partition_keys]
        assert dagster(ledger).complete("run-1/a", work)
    assert dagster(ledger).backlog() == []
    return found


def test_rows_that_came_change_their_partition(ledger: Ledger) -> None:
    assert dagster(ledger).due(TABLES, **AT_NOON) == []
    ingested(ledger, "a.csv", "b.csv")

    assert dagster(ledger).due(TABLES, **AT_NOON) == [DMAP.name]
    assert taken(ledger) == [(DMAP.name, DAY)]


def test_a_rejected_load_changes_its_partition_or_its_table_if_it_has_none(ledger: Ledger) -> None:
    (planned,) = ready(ledger, "a.csv")
    (unplanned,) = register(ledger, "b.csv")
    ledger.outcomes.reject(planned.id, ERROR)
    ledger.outcomes.reject(unplanned.id, ERROR)

    assert taken(ledger) == [(DMAP.name, DAY), (DMAP.name, WHOLE_TABLE)]


def test_a_failed_replay_changes_its_partition(ledger: Ledger) -> None:
    (load,) = archived(ledger, "a.csv")
    taken(ledger)
    claim(ledger, Work.REPLAY, partition_keys=[DAY])
    assert ledger.outcomes.reject(load.id, ERROR, claimant="run-1/a")

    assert taken(ledger) == [(DMAP.name, DAY)]


def test_a_load_that_is_retried_changes_its_partition(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    ledger.outcomes.reject(load.id, ERROR)
    claim(ledger, Work.ERROR)
    ledger.outcomes.complete_error("run-1/a", {load.id: "error/a.csv"})
    taken(ledger)

    assert ledger.outcomes.retry([load.id]) == [load.id]

    assert taken(ledger) == [(DMAP.name, DAY)]


def test_moving_an_original_changes_no_partition(ledger: Ledger) -> None:
    (load,) = ingested(ledger, "a.csv")
    taken(ledger)
    claim(ledger, Work.ARCHIVE)
    ledger.outcomes.complete_archive("run-1/a", {load.id: "archive/a.csv"})

    assert taken(ledger) == []


def test_a_load_whose_rows_are_replaced_changes_its_own_partition_too(ledger: Ledger) -> None:
    (old,) = ingested(ledger, "report.csv")
    (new,) = register(ledger, "other.csv")
    place(ledger, [new], "2022-03-05")
    taken(ledger)
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(new, "2022-03-05", location=f"{old.version.key}.parquet")])

    assert sorted(taken(ledger)) == [(DMAP.name, DAY), (DMAP.name, "2022-03-05")]


def test_rows_that_a_late_snapshot_claims_change_the_partition_they_leave_and_the_one_they_enter(
    ledger: Ledger,
) -> None:
    loads = archived(ledger, "20220304-000000000.csv.gz", table=CHANGES, snapshot=NOON)
    taken(ledger)
    place(ledger, loads, "later_2022-03-04", snapshot=NOON + timedelta(hours=1))

    assert sorted(taken(ledger)) == [(CHANGES.name, DAY), (CHANGES.name, "later_2022-03-04")]


def test_planning_a_new_load_changes_nothing_that_dagster_shows(ledger: Ledger) -> None:
    ready(ledger, "a.csv")

    assert taken(ledger) == []


def test_a_claim_of_some_partitions_leaves_the_changes_of_the_others(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (other,) = register(ledger, "b.csv")
    place(ledger, [other], "2022-03-05")
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(other, "2022-03-05")])

    (work,) = claim_dagster(ledger, partition_keys=["2022-03-05", "2022-03-06"])
    assert set(work.partition_keys) == {"2022-03-05"}
    assert claim_dagster(ledger, "run-2/b") == []
    assert dagster(ledger).complete("run-1/a", work)

    assert set(dagster(ledger).pending_partitions(DMAP.name, [DAY, "2022-03-05"])) == {DAY}


def test_only_what_was_recorded_before_a_moment_is_due_then(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    recorded_at = dagster(ledger).pending_partitions(DMAP.name, [DAY])[DAY]

    then: Term = {"now": recorded_at, "expires_at": recorded_at + timedelta(minutes=15)}
    assert dagster(ledger).due(TABLES, **then, recorded_before=recorded_at - timedelta(seconds=1)) == []
    assert dagster(ledger).due(TABLES, **then, recorded_before=recorded_at) == [DMAP.name]


def test_what_a_clock_that_was_ahead_has_recorded_counts_as_recorded_before(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    recorded_at = dagster(ledger).pending_partitions(DMAP.name, [DAY])[DAY]

    for ahead, due in ((CLOCK_TOLERANCE, []), (CLOCK_TOLERANCE + timedelta(seconds=1), [DMAP.name])):
        now = recorded_at - ahead
        then: Term = {"now": now, "expires_at": now + timedelta(minutes=15)}
        assert dagster(ledger).due(TABLES, **then, recorded_before=now - timedelta(minutes=5)) == due


def test_what_concerns_the_table_as_a_whole_is_due_at_once(ledger: Ledger) -> None:
    (unplanned,) = register(ledger, "b.csv")
    ledger.outcomes.reject(unplanned.id, ERROR)

    assert dagster(ledger).due(TABLES, **AT_NOON, recorded_before=NOON - timedelta(days=9_000)) == [DMAP.name]


def test_a_report_that_failed_is_tried_again_after_its_pause(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (work,) = claim_dagster(ledger)
    assert dagster(ledger).postpone("run-1/a", work, LATER, "Dagster's database is away")

    (behind,) = dagster(ledger).backlog()
    assert (behind.table, behind.n_changes, behind.error) == (DMAP.name, 1, "Dagster's database is away")
    assert dagster(ledger).due(TABLES, **AT_NOON) == []
    assert dagster(ledger).due(TABLES, **AT_LATER) == [DMAP.name]


def test_the_lease_and_the_error_of_one_consumer_are_none_of_the_other(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (work,) = claim_dagster(ledger)
    assert ledger.deliveries[Consumer.CATALOG].due(TABLES, **AT_NOON) == [DMAP.name]
    assert ledger.claims.is_at_work("run-1", NOON)

    ledger.claims.release_runs("run-1", retry_at=NOON)

    assert dagster(ledger).due(TABLES, **AT_NOON) == [DMAP.name]
    assert not dagster(ledger).complete("run-1/a", work)
    (again,) = claim_dagster(ledger)
    assert [(each.change_id, each.times) for each in again.deliveries] == [(work.deliveries[0].change_id, 2)]


def test_the_newest_files_of_a_partition_come_first_with_their_columns(ledger: Ledger) -> None:
    loads = ready(ledger, "a.csv", "b.csv", "c.csv")
    claim(ledger)
    columns = (Column("sample_id", "int64"),)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, columns=columns) for load in loads])

    found = ledger.partitions.newest_files(DMAP.name, [DAY, "2022-03-05"], 2)

    assert [file.load_id for file in found[DAY]] == [loads[2].id, loads[1].id]
    assert found[DAY][0].location == f"{DMAP.prefix}c.csv.parquet"
    assert found[DAY][0].columns == columns
    assert list(found) == [DAY]


def test_partitions_are_told_apart_by_what_became_of_their_loads(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    waiting, bad = register(ledger, "b.csv", "c.csv")
    place(ledger, [waiting], "2022-03-05")
    place(ledger, [bad], "2022-03-06")
    ledger.outcomes.reject(bad.id, ERROR)
    days = [DAY, "2022-03-05", "2022-03-06", "2022-03-07"]

    assert ledger.partitions.with_rows(DMAP.name, "", 10) == [DAY]
    assert ledger.partitions.with_rows(DMAP.name, DAY, 10) == []
    assert [load.id for load in ledger.partitions.rejected(DMAP.name, days)] == [bad.id]
    assert ledger.partitions.with_loads(DMAP.name, days) == set(days[:3])


def test_partitions_with_rows_are_paged_whatever_the_status_of_their_loads(ledger: Ledger) -> None:
    days = ["2022-03-04", "2022-03-05", "2022-03-06", "2022-03-04", "2022-03-07"]
    loads = register(ledger, "a.csv", "b.csv", "c.csv", "d.csv", "e.csv")
    for load, day in zip(loads, days, strict=True):
        place(ledger, [load], day)
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, day) for load, day in zip(loads, days, strict=True)])
    claim(ledger, Work.ARCHIVE, partition_keys=["2022-03-05", "2022-03-04"])
    ledger.outcomes.complete_archive("run-1/a", {load.id: f"archive/{load.version.key}" for load in loads[:2]})

    assert ledger.partitions.with_rows(DMAP.name, "", 3) == ["2022-03-04", "2022-03-05", "2022-03-06"]
    assert ledger.partitions.with_rows(DMAP.name, "2022-03-04", 2) == ["2022-03-05", "2022-03-06"]
    assert ledger.partitions.with_rows(DMAP.name, "2022-03-06", 3) == ["2022-03-07"]
