"""Health: what is a problem and from when on, on real databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cubic_ingestion.domain.arrivals import MAX_GAPS
from cubic_ingestion.domain.changes import Consumer
from cubic_ingestion.domain.load import Load, LoadError
from cubic_ingestion.domain.snapshot import Snapshot
from cubic_ingestion.domain.status import Work
from cubic_ingestion.domain.table import Table
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.observability.health import Thresholds, health
from cubic_ingestion.observability.problems import Problem, ProblemCode
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import NOON, a_change_table, a_table, an_ods_table
from cubic_ingestion_tests.contracts.ledgers import AT_NOON, an_ingested, archived, claim
from cubic_ingestion_tests.observability.conftest import KAFKA, Watched

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DMAP, BASE, CHANGES = a_table(), an_ods_table(), a_change_table()


def problems(watched: Watched, now: datetime, thresholds: Thresholds | None = None) -> list[Problem]:
    """Ask at a moment; that nobody tells Dagster, the catalog or products here is asked where it matters."""
    unwatched = [ProblemCode.UNREPORTED, ProblemCode.CATALOG_BEHIND, ProblemCode.PRODUCT_BEHIND]
    limits = thresholds or Thresholds(builders.limits(), ignored=unwatched)
    return health(watched.tables, watched.observer, now, limits).problems


def codes(watched: Watched, now: datetime, thresholds: Thresholds | None = None) -> list[tuple[str, str]]:
    return [(problem.code.value, problem.table) for problem in problems(watched, now, thresholds)]


def test_an_empty_ledger_is_healthy(watched: Watched) -> None:
    assert health(watched.tables, watched.observer, NOON, Thresholds(builders.limits())).is_healthy


def test_a_load_that_lacks_nothing_may_wait_as_long_as_the_threshold_says(watched: Watched) -> None:
    watched.came(DMAP, "a.csv", NOON)
    assert codes(watched, NOON + HOUR) == []
    assert codes(watched, NOON + HOUR + MINUTE) == [("waiting_too_long", DMAP.name)]
    assert codes(watched, NOON + HOUR + MINUTE, Thresholds(builders.limits(), max_wait_seconds=7_200)) == []


def test_a_load_of_an_inactive_table_waits_on_purpose(watched: Watched) -> None:
    watched.came(DMAP, "a.csv", NOON)
    watched.declare(replace(DMAP, is_active=False))
    assert codes(watched, NOON + DAY) == []


def test_a_claim_that_nobody_took_over_is_named(watched: Watched) -> None:
    watched.came(DMAP, "a.csv", NOON)
    claim(watched.ledger, expires_at=NOON + MINUTE)
    assert codes(watched, NOON + 2 * MINUTE) == []
    assert codes(watched, NOON + 10 * MINUTE) == [("claim_expired", DMAP.name)]


def test_what_a_clock_holds_that_is_ahead_is_named(watched: Watched) -> None:
    watched.came(DMAP, "a.csv", NOON)
    claim(watched.ledger, expires_at=NOON + 16 * MINUTE)
    feeds = Ledger(watched.engine, retry_seconds=1).feeds
    feeds.lease("/feed", "one", now=NOON, expires_at=NOON + 15 * MINUTE)
    assert codes(watched, NOON) == []
    watched.ledger.claims.renew("run-1/a", NOON + DAY)
    feeds.renew("/feed", "one", NOON + DAY)
    assert codes(watched, NOON) == [("claim_ahead", DMAP.name), ("claim_ahead", "")]
    of_loads, of_feed = (problem.message for problem in problems(watched, NOON))
    assert of_loads.startswith(f"run-1/a holds 1 load of {DMAP.name} until 2022-03-05 12:00:00 UTC")
    assert of_feed.startswith("one holds the feed /feed until 2022-03-05 12:00:00 UTC")
    thresholds = Thresholds(limits=builders.limits(claim_timeout_seconds=2 * 86_400))
    assert codes(watched, NOON, thresholds) == []
    claim(watched.ledger, claimant="run-2/b")
    assert codes(watched, NOON) == [("claim_ahead", "")]


def test_loads_sent_to_error_count_until_somebody_acknowledges_them(watched: Watched) -> None:
    load_id = watched.came(DMAP, "a.csv", NOON)
    watched.ledger.outcomes.reject(load_id, LoadError("bad_value", "why"))
    claim(watched.ledger, Work.ERROR)
    watched.ledger.outcomes.complete_error("run-1/a", {load_id: "e"})
    (found,) = problems(watched, NOON + HOUR)
    assert (found.code, found.since) == (ProblemCode.ERRORED, NOON)
    assert "bad_value" in found.message
    assert codes(watched, NOON + 25 * HOUR) == [("errored", DMAP.name)]
    assert codes(watched, NOON + HOUR, Thresholds(builders.limits(), errored_hours=0)) == []
    watched.ledger.trouble.acknowledge([load_id], "ann", "It is known.")
    assert codes(watched, NOON + HOUR) == []
    assert watched.observer.counts.errored() == []


BEHIND = [(Consumer.DAGSTER, ProblemCode.UNREPORTED), (Consumer.CATALOG, ProblemCode.CATALOG_BEHIND)]


@pytest.mark.parametrize("code", [code for _, code in BEHIND])
def test_changes_that_a_consumer_has_not_processed_for_too_long_are_named(watched: Watched, code: ProblemCode) -> None:
    ingested(watched)
    watched.moment = NOON + HOUR
    assert behind(watched, code) == []
    watched.moment += MINUTE
    (found,) = behind(watched, code)
    assert (found.table, found.since) == (DMAP.name, NOON)


@pytest.mark.parametrize(("consumer", "code"), BEHIND)
def test_a_consumer_that_refused_changes_is_named_at_once_with_its_reason(
    watched: Watched, consumer: Consumer, code: ProblemCode
) -> None:
    ingested(watched)
    deliveries = watched.ledger.deliveries[consumer]
    (work,) = deliveries.claim([DMAP.name], claimant="run-1/a", **AT_NOON, n_tables=1, n_changes=1)
    deliveries.postpone("run-1/a", work, NOON + HOUR, "the disk is full")

    (found,) = behind(watched, code)
    assert "the disk is full" in found.message
    assert [each for _, other in BEHIND if other != code for each in behind(watched, other)] == []


def ingested(watched: Watched) -> None:
    """Let a file be ingested of which no consumer has heard."""
    load_id = watched.came(DMAP, "a.csv", NOON)
    claim(watched.ledger)
    watched.ledger.outcomes.complete_ingest("run-1/a", [an_ingested(watched_load(watched, load_id))])


def behind(watched: Watched, code: ProblemCode) -> list[Problem]:
    found = problems(watched, watched.moment, Thresholds(builders.limits()))
    return [problem for problem in found if problem.code is code]


def test_problems_that_are_ignored_are_left_out(watched: Watched) -> None:
    load_id = watched.came(DMAP, "a.csv", NOON)
    watched.ledger.outcomes.reject(load_id, LoadError("bad_value", "why"))
    claim(watched.ledger, Work.ERROR)
    watched.ledger.outcomes.complete_error("run-1/a", {load_id: "e"})
    assert codes(watched, NOON + HOUR, Thresholds(builders.limits(), ignored=[ProblemCode.ERRORED])) == []


def test_a_dmap_day_that_did_not_come_is_named(watched: Watched) -> None:
    for n in range(12):
        if n != 7:
            day = datetime(2022, 3, 1, tzinfo=UTC) + n * DAY
            load_id = watched.came(DMAP, f"{day:%Y%m%d}.csv", day, at=day + DAY + 15 * HOUR)
            claim(watched.ledger)
            watched.ledger.outcomes.complete_ingest("run-1/a", [an_ingested(watched_load(watched, load_id))])
    now = datetime(2022, 3, 14, 14, tzinfo=UTC)
    found = [one for one in problems(watched, now) if one.code is ProblemCode.MISSING_DAY]
    assert [(one.table, "2022-03-08." in one.message) for one in found] == [(DMAP.name, True)]


def test_a_gap_in_the_counters_of_a_full_load_is_named_once_it_is_quiet(watched: Watched) -> None:
    watched.ledger.plans.open_snapshot(BASE.name, Snapshot(NOON, "k"))
    for name in ("LOAD00000001.csv.gz", "LOAD00000003.csv.gz"):
        watched.came(BASE, name, NOON, partition_key="20220304T120000Z")
    assert codes(watched, NOON + 59 * MINUTE) == []
    (found,) = problems(watched, NOON + HOUR)
    assert (found.code, found.table) == (ProblemCode.MISSING_LOAD_FILE, BASE.name)
    assert "lacks 1 file: LOAD00000002." in found.message
    watched.came(BASE, "LOAD00000002.csv.gz", NOON, partition_key="20220304T120000Z")
    assert codes(watched, NOON + HOUR) == []


@pytest.mark.parametrize("chosen", [CHANGES, KAFKA], ids=lambda table: table.name)
def test_a_table_that_fell_silent_against_its_habit_is_named(watched: Watched, chosen: Table) -> None:
    for week in (4, 3, 2, 1):
        watched.came(chosen, f"w{week}", NOON - week * 7 * DAY + 30 * MINUTE)
    for n in reversed(range(MAX_GAPS)):
        watched.came(chosen, f"n{n}", NOON - n * 5 * MINUTE)
    ignore = Thresholds(builders.limits(), ignored=[ProblemCode.WAITING_TOO_LONG])
    assert codes(watched, NOON + HOUR, ignore) == []
    (found,) = problems(watched, NOON + HOUR + MINUTE, ignore)
    assert (found.code, found.table, found.since) == (ProblemCode.SILENT, chosen.name, NOON)
    assert "5 minutes" in found.message


def test_a_table_that_is_silent_at_these_hours_every_week_is_not(watched: Watched) -> None:
    for n in reversed(range(40)):
        watched.came(CHANGES, f"n{n}", NOON - n * 5 * MINUTE)
    ignore = Thresholds(builders.limits(), ignored=[ProblemCode.WAITING_TOO_LONG])
    assert codes(watched, NOON + 6 * DAY, ignore) == []
    assert codes(watched, NOON + 7 * DAY, ignore) == [("silent", CHANGES.name)]


def test_a_declared_freshness_is_held_against_when_the_newest_data_came(watched: Watched) -> None:
    watched.declare(replace(DMAP, fresh_within_hours=36))
    archived(watched.ledger, "a.csv")
    assert codes(watched, NOON + 36 * HOUR) == []
    assert codes(watched, NOON + 37 * HOUR) == [("stale", DMAP.name)]
    watched.declare(replace(DMAP, is_active=False, fresh_within_hours=36))
    assert codes(watched, NOON + 37 * HOUR) == []


def watched_load(watched: Watched, load_id: int) -> Load:
    """Return a load that is there."""
    load = watched.ledger.queries.load(load_id)
    assert load
    return load
