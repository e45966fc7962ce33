"""Metrics: scraped over HTTP from the real port, and parsed as Prometheus does."""

import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cubic_ingestion.domain.load import LoadError
from cubic_ingestion.domain.status import Work
from cubic_ingestion.metadata_db.sql_load_observer import SqlLoadObserver
from cubic_ingestion.observability.metrics import LedgerCollector, exposition, serve
from cubic_ingestion.observability.totals import REFRESHED, Totals
from cubic_ingestion_tests.builders import NOON, a_table
from cubic_ingestion_tests.contracts.ledgers import archived, claim, ready
from cubic_ingestion_tests.databases import an_engine
from cubic_ingestion_tests.observability.conftest import Watched

DMAP = a_table()
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


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
    archived(watched.repository, "a.csv", "b.csv")
    (bad,) = ready(watched.repository, "c.csv")
    watched.repository.reject(bad.id, LoadError("bad_value", "why"))
    claim(watched.repository, Work.ERROR, "run-2/a")
    watched.repository.complete_error("run-2/a", {bad.id: "e"})
    ready(watched.repository, "d.csv")


def test_a_scrape_tells_of_everything_in_the_ledger(watched: Watched) -> None:
    fill(watched)
    watched.moment = NOON + timedelta(hours=2)
    table = {"stream": "dmap", "table": DMAP.name}
    with served(LedgerCollector(watched.tables, watched.observer, watched)) as url:
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

        archived(watched.repository, "e.csv")
        assert of(scrape(url), "cubic_loads", status="archived", **table) == 3


def test_an_empty_ledger_is_scraped_without_a_gap(watched: Watched) -> None:
    samples = parsed(exposition(LedgerCollector(watched.tables, watched.observer, watched)))
    assert of(samples, "cubic_up") == 1
    assert {name for name, _ in samples} == {"cubic_up", "cubic_oldest_waiting_seconds", "cubic_lacking_loads"}


def test_a_database_that_is_away_is_told_and_ends_no_server(watched: Watched) -> None:
    with an_engine("postgresql://nobody@127.0.0.1:1/nothing") as away:
        collector = LedgerCollector(watched.tables, SqlLoadObserver(away), watched)
        assert parsed(exposition(collector)) == {("cubic_up", frozenset()): 0.0}


def test_totals_read_again_only_what_was_not_settled(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    totals = Totals(watched.observer)
    fill(watched)
    asked: list[tuple[int, int | None]] = []
    honest = watched.observer.totals

    def listening(after: int, through: int | None = None) -> object:
        asked.append((after, through))
        return honest(after, through)

    monkeypatch.setattr(watched.observer, "totals", listening)
    first = totals.read(NOON)
    again = totals.read(NOON)
    assert first == again
    assert asked == [(0, 3), (3, None), (3, None)]
    claim(watched.repository)
    late = archived(watched.repository, "e.csv")
    assert sum(total.n_loads for total in totals.read(NOON)) == 5
    assert late[0].id == 5
    assert sum(total.n_rows for total in totals.read(NOON + REFRESHED + timedelta(seconds=1))) == sum(
        total.n_rows for total in honest(0)
    )
    assert (0, 3) in asked[3:]
