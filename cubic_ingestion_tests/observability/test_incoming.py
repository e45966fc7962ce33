"""Whether anybody looks at Incoming: what scans put on record, and what the probe makes of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from cubic_ingestion.domain.incoming import Scan, Seen, UnknownGroup
from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.errors import StoreUnavailableError
from cubic_ingestion.ledger.engine import make_engine
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.observability.health import health
from cubic_ingestion.observability.problems import Problem, ProblemCode, Thresholds
from cubic_ingestion.pipeline.register import register
from cubic_ingestion.storage import local_object_store
from cubic_ingestion_tests import builders
from cubic_ingestion_tests.builders import NOON
from cubic_ingestion_tests.contracts.ledgers import ready
from cubic_ingestion_tests.databases import POSTGRES_LIMITS
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.observability.conftest import Watched

HALF_AN_HOUR = timedelta(minutes=30)
DMAP = StreamName.DMAP.prefix


@pytest.fixture
def ledger(depot: Depot) -> Iterator[Ledger]:
    """What reads the depot's database."""
    engine = make_engine(f"sqlite:///{depot.root / 'metadata.sqlite'}", POSTGRES_LIMITS)
    yield Ledger(engine, retry_seconds=0)
    engine.dispose()


def found(depot: Depot, ledger: Ledger, *, max_scan_seconds: int = 1_800) -> list[Problem]:
    thresholds = Thresholds(builders.limits(), max_scan_seconds=max_scan_seconds)
    platform = depot.platform
    problems = health(platform.tables, ledger, platform.clock.now(), thresholds, platform.stores.incoming).problems
    return [problem for problem in problems if problem.code is ProblemCode.NOT_SCANNED]


def scan_all(depot: Depot) -> None:
    for stream in StreamName:
        register(depot.platform, stream)


def test_a_file_that_nobody_has_ever_looked_at_is_a_problem(depot: Depot, ledger: Ledger) -> None:
    assert found(depot, ledger) == []
    depot.put(f"{DMAP}agg_sample/20220304.csv", b"x")
    (problem,) = found(depot, ledger)
    assert (problem.table, problem.since) == ("", None)
    assert problem.message == "Objects lie in Incoming that nobody has ever looked at, below cubic/dmap/."
    scan_all(depot)
    assert found(depot, ledger) == []


def test_a_scan_that_was_too_long_ago_is_a_problem_whatever_lies_there(depot: Depot, ledger: Ledger) -> None:
    scan_all(depot)
    scanned_at = depot.clock.moment
    depot.clock.advance(seconds=1_800)
    assert found(depot, ledger) == []
    depot.clock.advance(seconds=1)
    (problem,) = found(depot, ledger)
    assert problem.since == scanned_at
    assert "cubic/ods_qlik/ and cubic/dmap/ and cubic/kafka/" in problem.message
    assert found(depot, ledger, max_scan_seconds=3_600) == []
    register(depot.platform, StreamName.ODS)
    register(depot.platform, StreamName.KAFKA)
    assert "listed cubic/dmap/ in" in found(depot, ledger)[0].message


def test_a_scan_by_a_clock_that_is_ahead_proves_nothing(depot: Depot, ledger: Ledger) -> None:
    depot.clock.advance(days=1)
    scan_all(depot)
    depot.clock.advance(days=-1)
    assert len(found(depot, ledger)) == 1


def test_a_scan_says_what_it_saw(depot: Depot) -> None:
    depot.put(f"{DMAP}agg_sample/20220304.csv", b"x")
    depot.put(f"{DMAP}agg_sample/sub/a.csv", b"x")
    depot.put(f"{DMAP}unknown/b.csv", b"x")
    depot.put("cubic/ods_qlik/EDW.SAMPLE/LOAD1.dfm", b"{}")
    depot.clock.advance(seconds=10)
    limits = replace(depot.platform.limits, settle_seconds=60)
    unsettled = replace(depot, platform=replace(depot.platform, limits=limits))
    scan_all(unsettled)
    scans = depot.platform.ledger.intake.scans()
    assert scans.keys() == {stream.prefix for stream in StreamName}
    assert (scans[DMAP].started_at, scans[DMAP].listed_at) == (depot.clock.moment, depot.clock.moment)
    why = "no table declares it"
    groups = (
        UnknownGroup(f"{DMAP}agg_sample/sub/", why, 1, ("a.csv",)),
        UnknownGroup(f"{DMAP}unknown/", why, 1, ("b.csv",)),
    )
    assert scans[DMAP].seen == Seen(3, 1, 2, groups)
    assert scans["cubic/ods_qlik/"].seen == Seen(1, 0, 0)
    assert scans["cubic/kafka/"].seen == Seen()


def test_a_scan_that_is_spread_over_ticks_adds_up_whoever_scans_between(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_object_store, "PAGE_SIZE", 2)
    for number in range(7):
        depot.put(f"{DMAP}unknown/{number}.csv", b"x")

    def tick(after: str) -> str:
        depot.clock.advance(seconds=10)
        return register(depot.platform, StreamName.DMAP, after=after, timeout_seconds=-1).resume_after

    begun_at = depot.clock.moment + timedelta(seconds=10)
    after = tick("")
    assert depot.platform.ledger.intake.scans()[DMAP].listed_at is None
    after = tick(after)
    register(depot.platform, StreamName.DMAP)
    between = depot.platform.ledger.intake.scans()[DMAP]
    assert (between.listed_at, between.seen.n_unknown) == (depot.clock.moment, 7)
    while after:
        after = tick(after)
    done = depot.platform.ledger.intake.scans()[DMAP]
    assert (done.seen.n_objects, done.seen.n_unknown, done.resume_after, done.so_far) == (7, 7, "", Seen())
    assert done.listed_at == done.active_at == depot.clock.moment
    assert done.seen.unknown[0].names == ("0.csv", "1.csv", "2.csv", "3.csv", "4.csv")
    assert begun_at < done.started_at


def test_a_listing_that_goes_on_is_no_problem_and_one_that_fails_says_why(
    depot: Depot, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_all(depot)

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailableError(DMAP, "access denied")

    with monkeypatch.context() as patch:
        patch.setattr(local_object_store.LocalObjectStore, "list", refuse)
        depot.clock.advance(seconds=1_801)
        with pytest.raises(StoreUnavailableError):
            register(depot.platform, StreamName.DMAP)
    (problem,) = found(depot, ledger)
    assert "The last try failed: Object 'cubic/dmap/' could not be reached (access denied)" in problem.message
    monkeypatch.setattr(local_object_store, "PAGE_SIZE", 1)
    depot.put(f"{DMAP}unknown/1.csv", b"x")
    depot.put(f"{DMAP}unknown/2.csv", b"x")
    register(depot.platform, StreamName.DMAP, timeout_seconds=-1)
    assert "cubic/dmap/" not in found(depot, ledger)[0].message


def test_listings_are_on_record_on_every_database(watched: Watched) -> None:
    scan = Scan(
        "cubic/dmap/",
        NOON,
        NOON + HALF_AN_HOUR,
        None,
        Seen(5_000_000_000, 1, 2, (UnknownGroup("a/", "why", 2, ("b\udcff", "c")),)),
        "key \udcff",
        Seen(1),
        "trouble",
    )
    watched.ledger.intake.record_scan(scan)
    assert watched.ledger.intake.scans() == watched.ledger.intake.scans() == {"cubic/dmap/": scan}
    later = replace(scan, listed_at=NOON + HALF_AN_HOUR, resume_after="", so_far=Seen(), problem=None)
    watched.ledger.intake.record_scan(later)
    assert watched.ledger.intake.scans() == {"cubic/dmap/": later}


def test_a_ledger_that_was_never_scanned_is_no_problem_where_incoming_cannot_be_seen(watched: Watched) -> None:
    ready(watched.ledger, "a.csv")
    assert health(watched.tables, watched.ledger, NOON, Thresholds(builders.limits())).is_healthy
