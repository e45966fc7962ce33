"""Metrics: scraped over HTTP from the real port, and parsed as Prometheus does."""

import re
import urllib.request
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.ledger.ledger import Ledger
from cubic_ingestion.ledger.records import LoadTotal
from cubic_ingestion.observability import totals as totals_module
from cubic_ingestion.observability.metrics import LedgerCollector, exposition, serve
from cubic_ingestion.observability.problems import Thresholds
from cubic_ingestion.observability.totals import REFRESHED, Totals
from cubic_ingestion_tests.builders import NOON, a_change_table, a_table, limits
from cubic_ingestion_tests.contracts.ledgers import archived, claim, ready
from cubic_ingestion_tests.databases import an_engine, migrated_sqlite
from cubic_ingestion_tests.observability.conftest import Watched

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
DMAP, CHANGES = a_table(), a_change_table()
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

THRESHOLDS = Thresholds(limits())


def parsed(text: str) -> Samples:
    """Parse an exposition; each series may stand there once only."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    by_series = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(by_series) == len(samples)
    return by_series


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@contextmanager
def served(collector: LedgerCollector) -> Generator[str]:
    """Serve on a free port; gives the URL."""
    port, stop = serve(collector, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        stop()


def scrape(url: str) -> Samples:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the URL is our own server's
        assert answer.status == 200
        return parsed(answer.read().decode())


def fill(watched: Watched) -> None:
    """Two loads archived, one in Error, one that waits since noon."""
    archived(watched.ledger, "a.csv", "b.csv")
    (bad,) = ready(watched.ledger, "c.csv")
    watched.ledger.outcomes.reject(bad.id, LoadError("bad_value", "why"))
    claim(watched.ledger, Work.ERROR, "run-2/a")
    watched.ledger.outcomes.complete_error("run-2/a", {bad.id: "e"})
    ready(watched.ledger, "d.csv")


def test_a_scrape_tells_of_everything_in_the_ledger(watched: Watched) -> None:
    fill(watched)
    watched.moment = NOON + timedelta(hours=2)
    table = {"stream": "dmap", "table": DMAP.name}
    with served(LedgerCollector(watched.tables, watched.observer, watched, THRESHOLDS)) as url:
        samples = scrape(url)

        assert of(samples, "cubic_up") == 1
        statuses = {"archived": 2, "errored": 1, "ready": 1}
        assert {status: of(samples, "cubic_loads", status=status, **table) for status in statuses} == statuses
        assert of(samples, "cubic_rows", **table) == 6
        assert of(samples, "cubic_parquet_bytes", **table) == 600
        assert of(samples, "cubic_received_bytes_total", **table) == 400
        assert of(samples, "cubic_errored_loads", code="bad_value", **table) == 1
        assert of(samples, "cubic_oldest_waiting_seconds", stream="dmap") == 7_200
        assert of(samples, "cubic_oldest_waiting_seconds", stream="ods") == 0
        assert of(samples, "cubic_source_lag_seconds", **table) == 7_200
        assert of(samples, "cubic_recent_load_duration_seconds", stream="dmap", quantile="0.95") == 0
        assert of(samples, "cubic_problems", code="waiting_too_long", **table) == 1
        assert of(samples, "cubic_problems", code="errored", **table) == 1

        archived(watched.ledger, "e.csv")
        assert of(scrape(url), "cubic_loads", status="archived", **table) == 3


def test_labels_act_on_nobody_who_reads_them(watched: Watched) -> None:
    (bad,) = ready(watched.ledger, "c.csv")
    watched.ledger.outcomes.reject(bad.id, LoadError("x\x1b[2J\n", "why"))
    claim(watched.ledger, Work.ERROR, "run-2/a")
    watched.ledger.outcomes.complete_error("run-2/a", {bad.id: "e"})

    samples = parsed(exposition(LedgerCollector(watched.tables, watched.observer, watched, THRESHOLDS)))

    assert of(samples, "cubic_errored_loads", code=r"x\x1b[2J\n", stream="dmap", table=DMAP.name) == 1


def test_an_empty_ledger_is_scraped_without_a_gap(watched: Watched) -> None:
    samples = parsed(exposition(LedgerCollector(watched.tables, watched.observer, watched, THRESHOLDS)))
    assert of(samples, "cubic_up") == 1
    assert {name for name, _ in samples} == {"cubic_up", "cubic_oldest_waiting_seconds", "cubic_lacking_loads"}


def test_every_metric_is_told_on_its_page_and_no_other(watched: Watched) -> None:
    fill(watched)
    text = exposition(LedgerCollector(watched.tables, watched.observer, watched, THRESHOLDS))
    scraped = set(re.findall(r"^# HELP (\w+)", text, flags=re.MULTILINE))
    told = set(re.findall(r"`(cubic_\w+)`", PAGE.partition("## Metrics")[2].partition("Alerts")[0]))

    assert scraped - told == set()
    assert {name for name in told - scraped if not name.startswith("cubic_kafka_")} == set()


def test_a_database_that_is_away_is_told_and_ends_no_server(watched: Watched) -> None:
    with an_engine("postgresql://nobody@127.0.0.1:1/nothing") as away:
        collector = LedgerCollector(watched.tables, Ledger(away, retry_seconds=0), watched, THRESHOLDS)
        assert parsed(exposition(collector)) == {("cubic_up", frozenset()): 0.0}


def test_totals_keep_what_has_ended_and_read_the_rest_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(watched.ledger, "waits-for-ever.csv", table=CHANGES)
    fill(watched)
    asked: list[tuple[int, int | None]] = []
    honest = watched.observer.counts.totals

    def listening(after: int, through: int | None = None, without: Collection[int] = ()) -> Sequence[LoadTotal]:
        asked.append((after, through))
        return honest(after, through, without)

    monkeypatch.setattr(watched.observer.counts, "totals", listening)
    totals = Totals(watched.observer, still_coming=0)
    assert by_status(totals.read(NOON)) == {"archived": 2, "errored": 1, "ready": 2}
    assert by_status(totals.read(NOON)) == {"archived": 2, "errored": 1, "ready": 2}
    assert asked == [(0, 5), (5, None), (5, None)]

    archived(watched.ledger, "e.csv")  # and d.csv, which was kept apart, is claimed with it
    assert (
        by_status(totals.read(NOON))
        == by_status(honest(0))
        == {"archived": 3, "errored": 1, "ingesting": 1, "ready": 1}
    )
    assert asked[3:] == [(5, 6), (6, None)]
    totals.read(NOON + REFRESHED + timedelta(seconds=1))
    assert asked[5:] == [(0, 6), (6, None)]


@given(moves=st.lists(st.sampled_from(["register", "archive", "reject", "read"]), max_size=12), most=st.integers(0, 3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_totals_are_those_of_all_loads_whatever_happens_between_readings(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str], most: int
) -> None:
    copy = tmp_path_factory.mktemp("totals") / "metadata.sqlite"
    copy.write_bytes(migrated_sqlite())
    with an_engine(f"sqlite:///{copy}") as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(totals_module, "MOST_APART", most)
        watched = Watched(engine)
        totals = Totals(watched.observer, still_coming=0)
        for number, move in enumerate([*moves, "read"]):
            if move == "register":
                ready(watched.ledger, f"{number}.csv")
            elif move == "archive":
                archived(watched.ledger, f"{number}.csv")
            elif move == "reject":
                (load,) = ready(watched.ledger, f"{number}.csv")
                watched.ledger.outcomes.reject(load.id, LoadError("bad_value", "why"))
            else:
                assert sorted(map(repr, totals.read(NOON))) == sorted(map(repr, watched.observer.counts.totals(0)))


def by_status(totals: Iterable[LoadTotal]) -> dict[str, int]:
    """Count loads by status."""
    counts: Counter[str] = Counter()
    for total in totals:
        counts[total.status.value] += total.n_loads
    return dict(counts)
