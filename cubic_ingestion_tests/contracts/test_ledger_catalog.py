"""What every ledger of the catalog's changes promises."""

from collections.abc import Sequence
from datetime import timedelta

from cubic_ingestion.domain.changes import Consumer
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
    DMAP,
    LATER,
    an_ingested,
    claim,
    ingested,
    ready,
)

TABLES = (DMAP.name, BASE.name)
ERROR = LoadError("bad_value", "It is bad.")


def catalog(ledger: Ledger) -> Deliveries:
    return ledger.deliveries[Consumer.CATALOG]


def claim_catalog(
    ledger: Ledger, claimant: str = "run-1/a", *, n_tables: int = 10, n_changes: int = 100
) -> Sequence[TableDeliveries]:
    """Claim at noon for a quarter of an hour."""
    return catalog(ledger).claim(
        TABLES, claimant=claimant, now=NOON, expires_at=LATER, n_tables=n_tables, n_changes=n_changes
    )


def places(work: TableDeliveries) -> list[str]:
    return list(work.locations)


def test_rows_that_came_are_changes_of_their_table(ledger: Ledger) -> None:
    assert catalog(ledger).due(TABLES, **AT_NOON) == []
    ingested(ledger, "a.csv", "b.csv")

    assert catalog(ledger).due(TABLES, **AT_NOON) == [DMAP.name]
    assert catalog(ledger).due([BASE.name], **AT_NOON) == []
    (work,) = claim_catalog(ledger)
    assert (work.table, work.attempts) == (DMAP.name, 0)
    assert places(work) == [f"{DMAP.prefix}{name}.csv.parquet" for name in "ab"]
    assert catalog(ledger).pending_locations([*places(work), "elsewhere"]) == set(places(work))


def test_a_place_that_rows_left_and_one_that_they_came_to_are_both_changes(ledger: Ledger) -> None:
    (load,) = ingested(ledger, "a.csv")
    (before,) = claim_catalog(ledger)
    assert catalog(ledger).complete("run-1/a", before)
    claim(ledger, Work.ARCHIVE)
    ledger.outcomes.complete_archive("run-1/a", {load.id: "archive/a.csv"})
    ledger.outcomes.mark_replay([load.id])
    claim(ledger, Work.REPLAY)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(load, location="elsewhere.parquet")])

    (work,) = claim_catalog(ledger)

    assert places(work) == [*places(before), "elsewhere.parquet"]


def test_a_rejected_load_that_never_had_rows_is_no_change(ledger: Ledger) -> None:
    (load,) = ready(ledger, "a.csv")
    assert ledger.outcomes.reject(load.id, ERROR)

    assert catalog(ledger).due(TABLES, **AT_NOON) == []


def test_a_table_is_held_by_one_claimant_until_its_claim_expires(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (work,) = claim_catalog(ledger)

    assert claim_catalog(ledger, "run-2/b") == []
    assert catalog(ledger).due(TABLES, now=LATER - timedelta(seconds=1), expires_at=LATER) == []
    assert catalog(ledger).due(TABLES, **AT_LATER) == [DMAP.name]
    assert catalog(ledger).complete("run-1/a", work)
    assert catalog(ledger).due(TABLES, **AT_LATER) == []
    assert catalog(ledger).backlog() == []


def test_at_most_so_many_tables_and_changes_are_taken_the_oldest_first(ledger: Ledger) -> None:
    ingested(ledger, "a.csv", "b.csv", "c.csv")
    ingested(ledger, "LOAD1.csv.gz", table=BASE)

    (first,) = claim_catalog(ledger, n_tables=1, n_changes=2)
    (other,) = claim_catalog(ledger, "run-2/b", n_tables=1)
    assert catalog(ledger).complete("run-1/a", first)
    (rest,) = claim_catalog(ledger)

    assert [each.table for each in (first, other, rest)] == [DMAP.name, BASE.name, DMAP.name]
    assert [places(each) for each in (first, rest)] == [
        [f"{DMAP.prefix}{name}.csv.parquet" for name in names] for names in ("ab", "c")
    ]


def test_a_claim_or_a_pause_of_a_clock_that_is_ahead_holds_no_table_back(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    tomorrow = LATER + timedelta(days=1)
    (work,) = catalog(ledger).claim(
        TABLES, claimant="run-1/a", now=tomorrow, expires_at=tomorrow, n_tables=9, n_changes=9
    )
    assert catalog(ledger).due(TABLES, **AT_NOON) == [DMAP.name]
    assert catalog(ledger).postpone("run-1/a", work, tomorrow, "throttled")
    assert catalog(ledger).due(TABLES, **AT_NOON) == [DMAP.name]
    (again,) = claim_catalog(ledger, "run-2/b")
    assert catalog(ledger).complete("run-2/b", again)


def test_what_changes_while_a_table_is_held_is_told_next_time(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (work,) = claim_catalog(ledger)
    ingested(ledger, "b.csv")
    assert catalog(ledger).complete("run-1/a", work)

    (later,) = claim_catalog(ledger)

    assert places(later) == [f"{DMAP.prefix}b.csv.parquet"]


def test_a_refused_table_waits_and_keeps_its_changes_and_the_reason(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (work,) = claim_catalog(ledger)
    assert catalog(ledger).postpone("run-1/a", work, LATER, "throttled")

    assert catalog(ledger).due(TABLES, **AT_NOON) == []
    (behind,) = catalog(ledger).backlog()
    assert (behind.table, behind.n_changes, behind.due_at, behind.error) == (DMAP.name, 1, LATER, "throttled")
    (again,) = catalog(ledger).claim(
        TABLES, claimant="run-2/b", now=LATER, expires_at=LATER + timedelta(minutes=15), n_tables=1, n_changes=10
    )
    assert (again.deliveries, again.attempts) == (work.deliveries, 1)
    assert catalog(ledger).complete("run-2/b", again)
    ingested(ledger, "b.csv")
    (fresh,) = claim_catalog(ledger)
    assert fresh.attempts == 0


def test_what_is_told_under_a_claim_that_was_lost_is_told_once_more(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    (slow,) = claim_catalog(ledger)
    ledger.claims.release_runs("run-1", retry_at=NOON)
    (work,) = claim_catalog(ledger, "run-2/b")
    assert catalog(ledger).complete("run-2/b", work)

    assert not catalog(ledger).complete("run-1/a", slow)
    (again,) = claim_catalog(ledger, "run-3/c")
    assert not catalog(ledger).postpone("run-1/a", slow, LATER, "late")

    assert places(again) == places(slow)
    assert {behind.error for behind in catalog(ledger).backlog()} == {None}
    assert catalog(ledger).complete("run-3/c", again)
    assert [places(work) for work in claim_catalog(ledger)] == [places(slow)]


def test_a_run_that_holds_a_table_is_at_work_until_it_is_released(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")
    assert not ledger.claims.is_at_work("run-7", NOON)
    claim_catalog(ledger, "run-7/a")

    assert ledger.claims.is_at_work("run-7", NOON)
    assert not ledger.claims.is_at_work("run-7", LATER)
    assert not ledger.claims.is_at_work("run-70", NOON)
    assert ledger.claims.release_runs("run-7", retry_at=NOON) == 0
    assert not ledger.claims.is_at_work("run-7", NOON)
    assert catalog(ledger).due(TABLES, **AT_NOON) == [DMAP.name]


def test_a_refresh_tells_all_places_with_rows_again_and_ends_pauses(ledger: Ledger) -> None:
    ingested(ledger, "a.csv", "b.csv")
    ingested(ledger, "LOAD1.csv.gz", table=BASE)
    ready(ledger, "c.csv")
    for work in claim_catalog(ledger):
        catalog(ledger).complete("run-1/a", work)

    assert catalog(ledger).refresh([BASE.name]) == 1
    assert catalog(ledger).due(TABLES, **AT_NOON) == [BASE.name]
    (work,) = claim_catalog(ledger)
    catalog(ledger).postpone("run-1/a", work, LATER, "throttled")
    assert catalog(ledger).refresh() == 3

    assert catalog(ledger).due(TABLES, **AT_NOON) == [DMAP.name, BASE.name]
    assert {behind.table: behind.n_changes for behind in catalog(ledger).backlog()} == {
        DMAP.name: 2,
        BASE.name: 1,
    }


def test_the_columns_of_the_rows_at_a_place_are_known(ledger: Ledger) -> None:
    one, other = (Column("id", "int64"),), (Column("id", "string"), Column("größe'", "float64"))
    a, b = ready(ledger, "a.csv", "b.csv")
    claim(ledger)
    ledger.outcomes.complete_ingest("run-1/a", [an_ingested(a, columns=one), an_ingested(b, columns=other)])
    places = {load.id: f"{load.version.key}.parquet" for load in (a, b)}

    assert ledger.schemas.columns_at([*places.values(), "nowhere"]) == {places[a.id]: one, places[b.id]: other}


def test_a_claim_that_is_made_again_by_the_same_claimant_has_the_same(ledger: Ledger) -> None:
    ingested(ledger, "a.csv")

    assert claim_catalog(ledger) == claim_catalog(ledger)
