"""A data set whose fetch meets what no code expects: it is missing, and the others come."""

from cubic_ingestion.fake_vendor import FakeVendor
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.troubled import troubled
from cubic_ingestion_tests.pipeline.dmap.fetches import FEED, a_fetcher, names, progress, publish


def missing_header() -> KeyError:
    return KeyError("ETag")


def test_a_data_set_that_meets_an_unforeseen_error_is_missing_and_the_others_come(
    vendor: FakeVendor, depot: Depot
) -> None:
    for number in range(4):
        publish(vendor, f"sample_{number}")
    report = a_fetcher(vendor, troubled(depot, "incoming", "sample_2", writing=missing_header)).fetch(FEED)

    assert names(depot) == ["sample_0.csv.gz", "sample_1.csv.gz", "sample_3.csv.gz"]
    assert len(report.fetched) == 3
    (problem,) = report.problems
    assert "'sample_2' is missing: An error that nobody foresaw (KeyError at troubled.py:" in problem
    assert progress(depot).n_problems == 1
    assert [fetched.dataset.identifier for fetched in a_fetcher(vendor, depot).fetch(FEED).fetched] == ["sample_2"]


def test_a_restated_data_set_that_cannot_be_looked_for_is_missing_and_overwrites_nothing(
    vendor: FakeVendor, depot: Depot
) -> None:
    for number in range(2):
        publish(vendor, f"sample_{number}")
    a_fetcher(vendor, depot).fetch(FEED)
    before = (depot.root / "incoming" / FEED.table.prefix / "sample_1.csv.gz").read_bytes()
    publish(vendor, "sample_1", 6, last_updated="2023-05-19T12:12:24.897363")
    publish(vendor, "sample_2", last_updated="2023-05-19T12:12:24.897363")
    report = a_fetcher(vendor, troubled(depot, "incoming", "sample_1", looking=missing_header)).fetch(FEED)

    assert [fetched.dataset.identifier for fetched in report.fetched] == ["sample_2"]
    (problem,) = report.problems
    assert "'sample_1' is missing: An error that nobody foresaw" in problem
    assert (depot.root / "incoming" / FEED.table.prefix / "sample_1.csv.gz").read_bytes() == before
