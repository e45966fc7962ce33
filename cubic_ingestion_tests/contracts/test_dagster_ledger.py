"""What every ledger of the partitions that Dagster has yet to show promises."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Column
from cubic_ingestion.ports import WHOLE_TABLE, LoadRepository, OutboxWork
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import (
    AT_LATER,
    AT_NOON,
    BASE,
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
)

TABLES = (DMAP.name, BASE.name, CHANGES.name)
ERROR = LoadError("bad_value", "It is bad.")


def claim_dagster(
    repository: LoadRepository, claimant: str = "run-1/a", partition_keys: Collection[str] | None = None
) -> Sequence[OutboxWork]:
    """Claim at noon for a quarter of an hour."""
    return repository.claim_dagster(
        TABLES,
        claimant=claimant,
        now=NOON,
        expires_at=LATER,
        n_tables=10,
        n_changes=100,
        partition_keys=partition_keys,
    )


def taken(repository: LoadRepository) -> list[tuple[str, str]]:
    """Claim all changes, forget them, and return them as table and partition."""
    found: list[tuple[str, str]] = []
    for work in claim_dagster(repository):
        found += [(work.table, partition) for partition in dict.fromkeys(work.changes.values())]
        assert repository.complete_dagster("run-1/a", work)
    assert repository.dagster_backlog() == []
    return found


def test_rows_that_came_change_their_partition(repository: LoadRepository) -> None:
    assert repository.dagster_due(TABLES, **AT_NOON) == []
    ingested(repository, "a.csv", "b.csv")

    assert repository.dagster_due(TABLES, **AT_NOON) == [DMAP.name]
    assert taken(repository) == [(DMAP.name, DAY)]


def test_a_rejected_load_changes_its_partition_or_its_table_if_it_has_none(repository: LoadRepository) -> None:
    (planned,) = ready(repository, "a.csv")
    (unplanned,) = register(repository, "b.csv")
    repository.reject(planned.id, ERROR)
    repository.reject(unplanned.id, ERROR)

    assert taken(repository) == [(DMAP.name, DAY), (DMAP.name, WHOLE_TABLE)]


def test_a_failed_replay_changes_its_partition(repository: LoadRepository) -> None:
    (load,) = archived(repository, "a.csv")
    taken(repository)
    claim(repository, Work.REPLAY, partition_keys=[DAY])
    assert repository.reject(load.id, ERROR, claimant="run-1/a")

    assert taken(repository) == [(DMAP.name, DAY)]


def test_a_load_that_is_retried_changes_its_partition(repository: LoadRepository) -> None:
    (load,) = ready(repository, "a.csv")
    repository.reject(load.id, ERROR)
    claim(repository, Work.ERROR)
    repository.complete_error("run-1/a", {load.id: "error/a.csv"})
    taken(repository)

    assert repository.retry([load.id]) == [load.id]

    assert taken(repository) == [(DMAP.name, DAY)]


def test_moving_an_original_changes_no_partition(repository: LoadRepository) -> None:
    (load,) = ingested(repository, "a.csv")
    taken(repository)
    claim(repository, Work.ARCHIVE)
    repository.complete_archive("run-1/a", {load.id: "archive/a.csv"})

    assert taken(repository) == []


def test_a_load_whose_rows_are_replaced_changes_its_own_partition_too(repository: LoadRepository) -> None:
    (old,) = ingested(repository, "report.csv")
    (new,) = register(repository, "other.csv")
    place(repository, [new], "2022-03-05")
    taken(repository)
    claim(repository)
    repository.complete_ingest("run-1/a", [an_ingested(new, "2022-03-05", location=f"{old.version.key}.parquet")])

    assert sorted(taken(repository)) == [(DMAP.name, DAY), (DMAP.name, "2022-03-05")]


def test_rows_that_a_late_snapshot_claims_change_the_partition_they_leave_and_the_one_they_enter(
    repository: LoadRepository,
) -> None:
    loads = archived(repository, "20220304-000000000.csv.gz", table=CHANGES, snapshot=NOON)
    taken(repository)
    place(repository, loads, "later_2022-03-04", snapshot=NOON + timedelta(hours=1))

    assert sorted(taken(repository)) == [(CHANGES.name, DAY), (CHANGES.name, "later_2022-03-04")]


def test_planning_a_new_load_changes_nothing_that_dagster_shows(repository: LoadRepository) -> None:
    ready(repository, "a.csv")

    assert taken(repository) == []


def test_a_claim_of_some_partitions_leaves_the_changes_of_the_others(repository: LoadRepository) -> None:
    ingested(repository, "a.csv")
    (other,) = register(repository, "b.csv")
    place(repository, [other], "2022-03-05")
    claim(repository)
    repository.complete_ingest("run-1/a", [an_ingested(other, "2022-03-05")])

    (work,) = claim_dagster(repository, partition_keys=["2022-03-05", "2022-03-06"])
    assert set(work.changes.values()) == {"2022-03-05"}
    assert claim_dagster(repository, "run-2/b") == []
    assert repository.complete_dagster("run-1/a", work)

    assert set(repository.dagster_pending(DMAP.name, [DAY, "2022-03-05"])) == {DAY}


def test_only_what_was_recorded_before_a_moment_is_due_then(repository: LoadRepository) -> None:
    ingested(repository, "a.csv")
    recorded_at = repository.dagster_pending(DMAP.name, [DAY])[DAY]

    assert repository.dagster_due(TABLES, **AT_NOON, recorded_before=recorded_at - timedelta(seconds=1)) == []
    assert repository.dagster_due(TABLES, **AT_NOON, recorded_before=recorded_at) == [DMAP.name]


def test_what_concerns_the_table_as_a_whole_is_due_at_once(repository: LoadRepository) -> None:
    (unplanned,) = register(repository, "b.csv")
    repository.reject(unplanned.id, ERROR)

    assert repository.dagster_due(TABLES, **AT_NOON, recorded_before=NOON - timedelta(days=9_000)) == [DMAP.name]


def test_a_report_that_failed_is_tried_again_after_its_pause(repository: LoadRepository) -> None:
    ingested(repository, "a.csv")
    (work,) = claim_dagster(repository)
    assert repository.postpone_dagster("run-1/a", work, LATER, "Dagster's database is away")

    (behind,) = repository.dagster_backlog()
    assert (behind.table, behind.n_changes, behind.error) == (DMAP.name, 1, "Dagster's database is away")
    assert repository.dagster_due(TABLES, **AT_NOON) == []
    assert repository.dagster_due(TABLES, **AT_LATER) == [DMAP.name]


def test_the_lease_and_the_error_of_one_consumer_are_none_of_the_other(repository: LoadRepository) -> None:
    ingested(repository, "a.csv")
    (work,) = claim_dagster(repository)
    assert repository.catalog_due(TABLES, **AT_NOON) == [DMAP.name]
    assert repository.is_at_work("run-1", NOON)

    repository.release_runs("run-1", retry_at=NOON)

    assert repository.dagster_due(TABLES, **AT_NOON) == [DMAP.name]
    assert not repository.complete_dagster("run-1/a", work)
    assert [behind.n_changes for behind in repository.dagster_backlog()] == [2]


def test_the_newest_files_of_a_partition_come_first_with_their_columns(repository: LoadRepository) -> None:
    loads = ready(repository, "a.csv", "b.csv", "c.csv")
    claim(repository)
    columns = (Column("sample_id", "int64"),)
    repository.complete_ingest("run-1/a", [an_ingested(load, columns=columns) for load in loads])

    found = repository.newest_files(DMAP.name, [DAY, "2022-03-05"], 2)

    assert [file.load_id for file in found[DAY]] == [loads[2].id, loads[1].id]
    assert found[DAY][0].location == f"{DMAP.prefix}c.csv.parquet"
    assert found[DAY][0].columns == columns
    assert list(found) == [DAY]


def test_partitions_are_told_apart_by_what_became_of_their_loads(repository: LoadRepository) -> None:
    ingested(repository, "a.csv")
    waiting, bad = register(repository, "b.csv", "c.csv")
    place(repository, [waiting], "2022-03-05")
    place(repository, [bad], "2022-03-06")
    repository.reject(bad.id, ERROR)
    days = [DAY, "2022-03-05", "2022-03-06", "2022-03-07"]

    assert repository.partitions_with_rows(DMAP.name, "", 10) == [DAY]
    assert repository.partitions_with_rows(DMAP.name, DAY, 10) == []
    assert [load.id for load in repository.rejected_in(DMAP.name, days)] == [bad.id]
    assert repository.partitions_with_loads(DMAP.name, days) == set(days[:3])


def test_partitions_with_rows_are_paged_whatever_the_status_of_their_loads(repository: LoadRepository) -> None:
    days = ["2022-03-04", "2022-03-05", "2022-03-06", "2022-03-04", "2022-03-07"]
    loads = register(repository, "a.csv", "b.csv", "c.csv", "d.csv", "e.csv")
    for load, day in zip(loads, days, strict=True):
        place(repository, [load], day)
    claim(repository)
    repository.complete_ingest("run-1/a", [an_ingested(load, day) for load, day in zip(loads, days, strict=True)])
    claim(repository, Work.ARCHIVE, partition_keys=["2022-03-05", "2022-03-04"])
    repository.complete_archive("run-1/a", {load.id: f"archive/{load.version.key}" for load in loads[:2]})

    assert repository.partitions_with_rows(DMAP.name, "", 3) == ["2022-03-04", "2022-03-05", "2022-03-06"]
    assert repository.partitions_with_rows(DMAP.name, "2022-03-04", 2) == ["2022-03-05", "2022-03-06"]
    assert repository.partitions_with_rows(DMAP.name, "2022-03-06", 3) == ["2022-03-07"]
