"""What a fetch brings to Incoming, from a vendor that may misbehave."""

import gzip
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cubic_ingestion.domain.feed import FIRST_DAY
from cubic_ingestion.errors import FeedUnavailableError, SettingsError
from cubic_ingestion.fake_vendor import FakeVendor, ListRules
from cubic_ingestion.fake_vendor import misbehaviours as bad
from cubic_ingestion_tests.builders import csv_gz
from cubic_ingestion_tests.depot import Depot
from cubic_ingestion_tests.pipeline.dmap.fetches import (
    FEED,
    MOMENT,
    a_client,
    a_fetcher,
    days,
    names,
    progress,
    publish,
)
from cubic_ingestion_tests.processes import a_dead_holder

UPDATED_AT = datetime.fromisoformat(MOMENT).replace(tzinfo=UTC)


def test_what_is_on_offer_is_brought_to_incoming_once(vendor: FakeVendor, depot: Depot) -> None:
    for number in range(3):
        publish(vendor, f"sample_{number}")
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == ["sample_0.csv.gz", "sample_1.csv.gz", "sample_2.csv.gz"]
    assert (len(report.fetched), report.problems, report.last_updated_at) == (3, [], UPDATED_AT)
    assert progress(depot).last_updated_at == UPDATED_AT

    again = a_fetcher(vendor, depot).fetch(FEED)
    assert (again.n_listed, again.fetched) == (3, [])
    assert len(vendor.downloads) == 3


def test_o15_the_key_is_in_a_header_of_lists_and_nowhere_else(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    a_fetcher(vendor, depot).fetch(FEED)
    assert all("apikey" in request.header_names for request in vendor.listings)
    assert not any("apikey" in request.header_names for request in vendor.downloads)
    assert not any("demo-public" in request.path + request.query for request in vendor.requests)


def test_a_list_begins_shortly_before_what_was_fetched_last(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    a_fetcher(vendor, depot).fetch(FEED)
    assert set(days(vendor)) == {FIRST_DAY}
    vendor.forget_requests()
    a_fetcher(vendor, depot).fetch(FEED)
    assert set(days(vendor)) == {date(2023, 5, 16)}
    vendor.forget_requests()
    a_fetcher(vendor, depot).fetch(FEED, since=date(2021, 1, 1))
    assert set(days(vendor)) == {date(2021, 1, 1)}


@pytest.mark.slow
def test_m1_1500_data_sets_of_one_moment_all_come(vendor: FakeVendor, depot: Depot) -> None:
    for number in range(1500):
        publish(vendor, f"sample_{number}")
    assert len(a_fetcher(vendor, depot, parallel_downloads=8).fetch(FEED).fetched) == 1500
    assert len(names(depot)) == 1500
    assert len(vendor.downloads) == 1500


@pytest.mark.parametrize("rules", [ListRules(), ListRules(is_inclusive=False), ListRules(compares_days=True)])
@pytest.mark.parametrize("is_ascending", [True, False])
def test_no_rule_of_the_list_hides_anything(
    vendor: FakeVendor, depot: Depot, rules: ListRules, *, is_ascending: bool
) -> None:
    vendor.rules = replace(rules, is_ascending=is_ascending, page_size=10)
    publish(vendor, "sample_0")
    a_fetcher(vendor, depot).fetch(FEED)
    for number in range(1, 30):
        publish(vendor, f"sample_{number}")
    assert len(a_fetcher(vendor, depot).fetch(FEED).fetched) == 29


def test_o15_what_is_published_later_with_the_same_time_comes_too(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    a_fetcher(vendor, depot).fetch(FEED)
    publish(vendor, "sample_2")
    publish(vendor, "sample_3", last_updated="2023-05-18T12:12:23")
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert {fetched.dataset.identifier for fetched in report.fetched} == {"sample_2", "sample_3"}


def test_m2_nothing_slips_through_when_the_list_shifts_between_pages(vendor: FakeVendor, depot: Depot) -> None:
    vendor.rules = ListRules(page_size=10)
    for number in range(25):
        publish(vendor, f"sample_{number:02}")
    vendor.lists.arm(bad.meanwhile(lambda: publish(vendor, "sample_03", 9, last_updated="2023-06-01T00:00:00")))
    a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == [f"sample_{number:02}.csv.gz" for number in range(25)]


def test_a_restatement_replaces_the_rows_and_archive_keeps_both(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_20230517", 5)
    a_fetcher(vendor, depot).fetch(FEED)
    depot.settle()
    publish(vendor, "sample_20230517", 7, last_updated="2023-06-01T00:00:00")
    a_fetcher(vendor, depot).fetch(FEED)
    depot.settle()
    assert [row["sample_count"] for row in depot.rows(FEED.table)] == [7]
    assert len(depot.files("archive")) == 2
    assert progress(depot).last_updated_at == datetime(2023, 6, 1, tzinfo=UTC)


def test_a_restatement_waits_while_the_version_before_is_not_archived(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_20230517", 5)
    a_fetcher(vendor, depot).fetch(FEED)
    publish(vendor, "sample_20230517", 7, last_updated="2023-06-01T00:00:00")
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert ([dataset.identifier for dataset in report.waiting], report.problems) == (["sample_20230517"], [])
    assert progress(depot).last_updated_at == datetime(2023, 5, 31, 23, 59, 59, 999999, UTC)
    depot.settle()
    assert len(a_fetcher(vendor, depot).fetch(FEED).fetched) == 1


def test_a_restatement_that_is_plain_takes_the_place_of_the_gzip_before(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_20230517", 5)
    a_fetcher(vendor, depot).fetch(FEED)
    depot.settle()
    publish(vendor, "sample_20230517", 7, last_updated="2023-06-01T00:00:00")
    vendor.files.arm(bad.plain_csv())
    a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == ["sample_20230517.csv.gz"]
    depot.settle()
    assert [row["sample_count"] for row in depot.rows(FEED.table)] == [7]


def test_a_plain_file_is_named_for_what_it_is(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    vendor.files.arm(bad.plain_csv())
    a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == ["sample_1.csv"]


def test_what_is_called_an_encoding_of_the_transfer_stays_gzip(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    vendor.files.arm(bad.content_encoded())
    a_fetcher(vendor, depot).fetch(FEED)
    assert gzip.decompress((depot.root / "incoming" / FEED.table.prefix / "sample_1.csv.gz").read_bytes())


@pytest.mark.parametrize("name", sorted(bad.INVALID_ITEMS))
def test_o15_one_invalid_item_is_named_the_others_go_on_and_it_is_not_skipped_for_ever(
    vendor: FakeVendor, depot: Depot, name: str
) -> None:
    publish(vendor, "sample_1")
    publish(vendor, "sample_2", last_updated="2023-08-01T00:00:00")
    vendor.lists.arm(bad.INVALID_ITEMS[name], times=None, matching="offset=0")
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == ["sample_2.csv.gz"]
    (problem,) = report.problems
    assert "is no data set" in problem
    assert progress(depot).problem == problem
    until = progress(depot).last_updated_at
    assert until is None or until < UPDATED_AT

    vendor.lists.disarm()
    assert [fetched.dataset.identifier for fetched in a_fetcher(vendor, depot).fetch(FEED).fetched] == ["sample_1"]
    assert progress(depot).last_updated_at == datetime(2023, 8, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "trouble",
    [
        bad.too_many_requests(0),
        bad.too_many_requests(0, as_date=True),
        bad.failure(503),
        bad.dropped(),
        bad.html(),
        bad.unsuccessful(),
        bad.without_results(),
    ],
)
def test_m3_a_list_that_goes_wrong_is_asked_for_again(
    vendor: FakeVendor, depot: Depot, trouble: bad.Misbehaviour
) -> None:
    publish(vendor, "sample_1")
    vendor.lists.arm(trouble, times=2)
    a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == ["sample_1.csv.gz"]


@pytest.mark.parametrize("trouble", [bad.failure(500), bad.html(), bad.unsuccessful(), bad.redirected("/elsewhere")])
def test_a_list_that_stays_wrong_fails_the_fetch_and_says_so(
    vendor: FakeVendor, depot: Depot, trouble: bad.Misbehaviour
) -> None:
    publish(vendor, "sample_1")
    vendor.lists.arm(trouble, times=None)
    with pytest.raises(FeedUnavailableError, match="sample"):
        a_fetcher(vendor, depot).fetch(FEED)
    assert progress(depot).n_problems == 1
    assert progress(depot).last_updated_at is None
    vendor.lists.disarm()
    assert len(a_fetcher(vendor, depot, owner="two").fetch(FEED).fetched) == 1


def test_a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for(vendor: FakeVendor, depot: Depot) -> None:
    vendor.lists.arm(bad.too_many_requests(3600), times=None)
    with pytest.raises(FeedUnavailableError, match="429"):
        a_fetcher(vendor, depot).fetch(FEED)
    assert len(vendor.listings) == 1


def test_a_list_with_a_byte_order_mark_is_a_list(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    vendor.lists.arm(bad.marked(), times=None)
    assert len(a_fetcher(vendor, depot).fetch(FEED).fetched) == 1


def test_an_empty_list_is_nothing_new_and_forgets_nothing(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    a_fetcher(vendor, depot).fetch(FEED)
    vendor.lists.arm(bad.empty_list(), times=None)
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert (report.n_listed, report.problems) == (0, [])
    assert progress(depot).last_updated_at == UPDATED_AT


def test_a_key_that_is_refused_names_its_setting(vendor: FakeVendor, depot: Depot) -> None:
    vendor.api_keys["datasetpublicusersapi"] = "another"
    with pytest.raises(SettingsError, match="CUBIC_DMAP_PUBLIC_API_KEY") as refused:
        a_fetcher(vendor, depot).fetch(FEED)
    assert "demo-public" not in str(refused.value)
    vendor.api_keys["datasetpublicusersapi"] = "demo-public"
    assert a_fetcher(vendor, depot, owner="two").fetch(FEED).is_held_elsewhere is False


def test_m3_an_expired_link_is_asked_for_afresh(vendor: FakeVendor, depot: Depot) -> None:
    for number in range(5):
        publish(vendor, f"sample_{number}")
    vendor.lists.arm(bad.meanwhile(vendor.expire_links))  # all that this page gave out
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert (len(report.fetched), report.problems) == (5, [])


def test_a_link_that_never_works_is_tried_a_few_times_and_the_others_are_taken(
    vendor: FakeVendor, depot: Depot
) -> None:
    for number in range(20):
        publish(vendor, f"sample_{number:02}")
    vendor.files.arm(bad.link_expired(), times=None, matching="sample_00")
    report = a_fetcher(vendor, depot, parallel_downloads=1).fetch(FEED)
    assert len(names(depot)) == 19
    assert report.problems == ["Data set 'sample_00' is missing: its link had expired"]
    assert sum("sample_00" in request.path for request in vendor.downloads) == 3
    assert progress(depot).last_updated_at == UPDATED_AT - timedelta(microseconds=1)


@pytest.mark.parametrize(
    "trouble",
    [
        bad.truncated(20),
        bad.without_length(20),
        bad.xml(),
        bad.html(),
        bad.corrupt_gzip(),
        bad.cut_gzip(),
        bad.failure(404),
        bad.failure(500),
        bad.dropped(),
    ],
)
def test_o15_a_body_that_is_not_the_file_never_becomes_one(
    vendor: FakeVendor, depot: Depot, trouble: bad.Misbehaviour
) -> None:
    publish(vendor, "sample_1")
    publish(vendor, "sample_2")
    vendor.files.arm(trouble, times=None, matching="sample_1")
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert names(depot) == ["sample_2.csv.gz"]
    (problem,) = report.problems
    assert "sample_1" in problem
    assert "sig=" not in problem
    assert depot.files("incoming") == [f"{FEED.table.prefix}sample_2.csv.gz"]  # no draft either

    vendor.files.disarm()
    assert len(a_fetcher(vendor, depot).fetch(FEED).fetched) == 1


def test_a_file_with_nothing_but_a_header_is_one(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1", body=csv_gz("sample_id,sample_name,sample_count\n"))
    a_fetcher(vendor, depot).fetch(FEED)
    depot.settle()
    (load,) = depot.loads()
    assert load.n_rows == 0


@pytest.mark.parametrize(
    "body",
    [b"", csv_gz(""), b"Access denied.", csv_gz("<html>"), b'{"error": 1}'],
    ids=["nothing", "gzip of nothing", "text", "gzip of HTML", "JSON"],
)
def test_no_text_that_lacks_the_tables_columns_is_taken(vendor: FakeVendor, depot: Depot, body: bytes) -> None:
    publish(vendor, "sample_1", body=body)
    assert len(a_fetcher(vendor, depot).fetch(FEED).problems) == 1
    assert depot.files("incoming") == []


def test_no_room_for_a_file_on_its_way_is_named_and_stops_no_other_feed(
    vendor: FakeVendor, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(vendor, "one")
    with monkeypatch.context() as full:
        full.setattr(tempfile, "tempdir", str(depot.root / "gone"))
        report = a_fetcher(vendor, depot).fetch(FEED)
    assert len(report.problems) == 1
    assert "temporary file" in report.problems[0]
    assert names(depot) == []

    assert a_fetcher(vendor, depot).fetch(FEED).problems == []
    assert names(depot) == ["one.csv.gz"]


def test_files_come_in_parallel_but_no_more_than_was_said(vendor: FakeVendor, depot: Depot) -> None:
    for number in range(6):
        publish(vendor, f"sample_{number}")
    meet = threading.Barrier(3)
    vendor.files.arm(bad.meanwhile(lambda: meet.wait(30)), times=6)
    a_fetcher(vendor, depot, parallel_downloads=3).fetch(FEED)
    assert vendor.most_downloads_at_once == 3


def test_two_at_once_do_not_fetch_the_same_feed(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    reports = []
    vendor.lists.arm(bad.meanwhile(lambda: reports.append(a_fetcher(vendor, depot, owner="two").fetch(FEED))))
    assert not a_fetcher(vendor, depot).fetch(FEED).is_held_elsewhere
    assert reports[0].is_held_elsewhere
    assert len(vendor.downloads) == 1


def test_who_loses_the_feed_on_the_way_stops_and_spoils_nothing(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")

    def be_overtaken() -> None:
        depot.clock.advance(seconds=901)
        assert len(a_fetcher(vendor, depot, owner="two").fetch(FEED).fetched) == 1

    vendor.lists.arm(bad.meanwhile(be_overtaken))
    report = a_fetcher(vendor, depot).fetch(FEED)
    assert report.fetched == []
    assert len(vendor.downloads) == 1


def test_a_time_in_the_future_does_not_hide_what_comes_until_then(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1", last_updated="2999-01-01T00:00:00")
    a_fetcher(vendor, depot).fetch(FEED)
    assert progress(depot).last_updated_at == depot.clock.now()


def test_a_later_start_by_hand_does_not_hide_what_was_before(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    publish(vendor, "sample_2", last_updated="2023-08-01T00:00:00")
    a_fetcher(vendor, depot).fetch(FEED, since=date(2023, 7, 1))
    assert names(depot) == ["sample_2.csv.gz"]
    assert progress(depot).last_updated_at is None
    assert len(a_fetcher(vendor, depot).fetch(FEED).fetched) == 1


def test_what_an_earlier_platform_has_fetched_is_not_fetched_again(vendor: FakeVendor, depot: Depot) -> None:
    publish(vendor, "sample_1")
    fetched = a_fetcher(vendor, depot).fetch(FEED).fetched[0]
    depot.platform.ledger.feeds.record(FEED.relative_url, replace(fetched, key=None, etag=None))
    publish(vendor, "sample_1", 7, last_updated="2023-06-01T00:00:00")
    assert len(a_fetcher(vendor, depot).fetch(FEED).fetched) == 1


def test_requests_are_spaced(vendor: FakeVendor) -> None:
    client = a_client(vendor, requests_per_second=20)
    started = datetime.now(UTC)
    for _ in range(5):
        client.page(FEED, since=FIRST_DAY, offset=0)
    assert datetime.now(UTC) - started >= timedelta(seconds=0.2)


def test_the_feed_of_a_fetcher_whose_process_was_killed_is_taken_at_once(vendor: FakeVendor, depot: Depot) -> None:
    now, expires_at = depot.platform.claim_term()
    depot.platform.ledger.feeds.lease(FEED.relative_url, a_dead_holder(), now=now, expires_at=expires_at)
    assert not a_fetcher(vendor, depot).fetch(FEED).is_held_elsewhere
