"""Killed before or after any step: the next fetch brings what is missing, and no more than what was under way twice."""

import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from cubic_ingestion.fake_vendor import FakeVendor, ListRules
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.faults.at_the_database import faults_at_the_database
from cubic_ingestion_tests.faults.faulty import Fault, FaultPlan, FaultyFeedClient, kills
from cubic_ingestion_tests.faults.stage import PROCESSES, goes_wrong, work_with
from cubic_ingestion_tests.pipeline.dmap.fetches import FEED, a_fetcher, progress, publish

pytestmark = pytest.mark.slow

N_DATASETS = 6
RECORD = "database.insert cubic_dmap_datasets"
CALLS = {
    "database.insert cubic_dmap_feeds, update cubic_dmap_feeds": 1,
    "client.page": 3,
    "database.select cubic_dmap_datasets": 2,
    "client.download": 3,
    "incoming.head": 3,
    "incoming.write": 3,
    "incoming.commit": 3,
    RECORD: 3,
    "database.update cubic_dmap_feeds": 1,
}
"""How often a fetch makes each call; those after the third are like it. Reads of loads are left out."""


def an_offer_of_all(vendor: FakeVendor) -> None:
    """Publish some data sets, on several pages."""
    vendor.rules = ListRules(page_size=4)
    for number in range(N_DATASETS):
        publish(vendor, f"sample_{number}", number)


def fetch(vendor: FakeVendor, plan: FaultPlan, depot: Depot) -> None:
    """Fetch, one data set at a time, with the vendor's API under the plan too."""
    fetcher = a_fetcher(vendor, depot, parallel_downloads=1)
    replace(fetcher, client=FaultyFeedClient(fetcher.client, plan)).fetch(FEED)


def test_each_call_of_a_fetch_has_its_cells(vendor: FakeVendor, depot: Depot) -> None:
    an_offer_of_all(vendor)
    plan = FaultPlan()
    work_with(depot, plan, partial(fetch, vendor, plan))
    calls = {call: min(n, 3) for call, n in plan.calls.items() if not call.startswith("database.select cubic_loads")}
    assert calls == CALLS


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "when the lease has ended"])
@pytest.mark.parametrize(("call", "number", "fault"), kills(CALLS))
def test_a_fetch_that_is_killed_is_finished_by_the_next(
    vendor: FakeVendor, depot: Depot, call: str, number: int, fault: Fault, *, is_late: bool
) -> None:
    an_offer_of_all(vendor)
    plan = FaultPlan(call, fault, (number,))
    goes_wrong(depot, plan, partial(fetch, vendor, plan))
    depot.clock.advance(seconds=901 if is_late else 0)
    n_before = len(vendor.downloads)
    report = a_fetcher(vendor, depot, owner="two" if is_late else "one").fetch(FEED)

    assert report.problems == []
    assert len(vendor.downloads) - n_before == len(report.fetched)
    assert len(vendor.downloads) <= N_DATASETS + 1
    depot.settle()
    assert sorted(cast("int", row["sample_count"]) for row in depot.rows(FEED.table)) == list(range(N_DATASETS))
    assert len(depot.files("archive")) == N_DATASETS
    assert progress(depot).n_datasets == N_DATASETS


def fetch_until_killed(root: Path, url: str) -> None:
    """Fetch two data sets at a time in a process of its own, which ends when the third is on record."""
    plan = FaultPlan(RECORD, Fault.KILLED_AFTER, (3,), is_real=True)
    with faults_at_the_database(plan):
        a_fetcher(
            cast("FakeVendor", SimpleNamespace(url=url)), Depot.build(root, [FEED.table]), parallel_downloads=2
        ).fetch(FEED)


def test_a_real_process_that_is_killed_loses_and_doubles_nothing(
    vendor: FakeVendor, depot: Depot, tmp_path: Path
) -> None:
    an_offer_of_all(vendor)
    process = PROCESSES.Process(target=fetch_until_killed, args=(tmp_path, vendor.url))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    depot.settle()
    depot.clock.moment = datetime.now(UTC) + timedelta(seconds=901)
    report = a_fetcher(vendor, depot, owner="two").fetch(FEED)
    assert (report.is_held_elsewhere, report.problems) == (False, [])
    assert len(vendor.downloads) <= N_DATASETS + 2
    depot.settle()
    assert sorted(cast("int", row["sample_count"]) for row in depot.rows(FEED.table)) == list(range(N_DATASETS))
