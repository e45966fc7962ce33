"""``cubic dmap``: the fetcher as people call it, with a vendor on localhost."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cubic_ingestion.defs.instance import dagster_instance
from cubic_ingestion.fake_vendor import FakeVendor, restate_sample, sample_feed
from cubic_ingestion.fake_vendor import misbehaviours as bad
from cubic_ingestion.settings import read_settings
from cubic_ingestion_tests.cli.conftest import Cubic


@pytest.fixture
def vendor(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVendor]:
    """A vendor with the sample, that the settings lead to; the key of one family is set."""
    del home
    with FakeVendor() as vendor:
        sample_feed(vendor)
        monkeypatch.setenv("CUBIC_DMAP_BASE_URL", vendor.url)
        monkeypatch.setenv("CUBIC_DMAP_PUBLIC_API_KEY", "demo-public")
        monkeypatch.setenv("CUBIC_DMAP_REQUESTS_PER_SECOND", "1000")
        yield vendor


def test_what_the_vendor_offers_is_fetched_ingested_and_accounted_for(cubic: Cubic, vendor: FakeVendor) -> None:
    outcome = cubic("dmap", "fetch")
    assert outcome.exit_code == 0
    assert "Left out, the feeds below '/datasetcontrolleduserapi/': CUBIC_DMAP_CONTROLLED_API_KEY" in outcome.error
    assert cubic("ingest").exit_code == 0
    restate_sample(vendor, 0, 1, "2023-08-01T00:00:00")
    (fetched,) = cubic("dmap", "fetch", "agg_daily_fareprod", "--json").json
    assert (fetched["listed"], fetched["fetched"], fetched["problems"]) == (2, 1, [])
    assert cubic("ingest").exit_code == 0
    assert cubic("audit").exit_code == 0
    rows = {row["table"]: row for row in cubic("status", "--json").json["tables"]}
    assert rows["cubic__dmap__agg_daily_fareprod"]["archived"] == 5


def test_the_list_of_feeds_says_how_far_each_is_and_what_is_missing(cubic: Cubic, vendor: FakeVendor) -> None:
    vendor.files.arm(bad.xml(), times=None, matching="20230520")
    assert cubic("dmap", "fetch", "agg_daily_fareprod").exit_code == 1
    rows = {row["feed"]: row for row in cubic("dmap", "list", "--json").json}
    assert len(rows) == 14
    assert rows["agg_daily_fareprod"]["data_sets"] == 3
    assert rows["agg_daily_fareprod"]["problems"] == 1
    assert "fareprod_20230520" in rows["agg_daily_fareprod"]["first_problem"]
    assert rows["citation"] == {
        "feed": "citation",
        "key": "controlled",
        "data_sets": 0,
        "complete_until": None,
        "fetched_at": None,
        "problems": 0,
        "first_problem": None,
    }


def test_one_feed_in_trouble_does_not_stop_the_others(cubic: Cubic, vendor: FakeVendor) -> None:
    vendor.lists.arm(bad.redirected("http://127.0.0.1:1/elsewhere"), times=None, matching="agg_average")
    outcome = cubic("dmap", "fetch", "--json")
    assert outcome.exit_code == 1
    by_feed = {row["feed"]: row for row in outcome.json}
    assert by_feed["agg_daily_fareprod"]["fetched"] == 4
    assert "server that is not given the key" in by_feed["agg_average_boardings_by_day_type_month"]["problems"][0]
    assert not any(request.path.startswith("/elsewhere") for request in vendor.requests)


def test_a_start_by_hand_is_a_day(cubic: Cubic, vendor: FakeVendor) -> None:
    assert cubic("dmap", "fetch", "agg_daily_fareprod", "--since", "2023-05-20").exit_code == 0
    assert {request.parameters["last_updated"] for request in vendor.listings} == {"2023-05-20"}
    assert cubic("dmap", "fetch", "--since", "yesterday").exit_code == 2


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "CUBIC_DMAP_BASE_URL: It is not set."),
        ({"BASE_URL": "https://vendor.invalid"}, "CUBIC_DMAP_PUBLIC_API_KEY: It is not set."),
        ({"BASE_URL": "http://vendor.invalid", "PUBLIC_API_KEY": "k"}, "CUBIC_DMAP_BASE_URL: It is no https address"),
        ({"BASE_URL": "https://u@vendor.invalid", "PUBLIC_API_KEY": "k"}, "CUBIC_DMAP_BASE_URL: It has more than"),
        ({"BASE_URL": "https://vendor.invalid", "PUBLIC_API_KEY": "Pl4nted\n"}, "CUBIC_DMAP_PUBLIC_API_KEY: It is no"),
    ],
)
def test_what_is_missing_is_named_at_once(
    cubic: Cubic, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], named: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"CUBIC_DMAP_{name}", value)
    outcome = cubic("dmap", "fetch")
    assert outcome.exit_code == 2
    assert named in outcome.error
    assert "Pl4nted" not in outcome.error + outcome.out


def test_a_feed_without_its_key_or_that_nobody_declares_is_refused(cubic: Cubic, vendor: FakeVendor) -> None:
    outcome = cubic("dmap", "fetch", "citation")
    assert (outcome.exit_code, "CUBIC_DMAP_CONTROLLED_API_KEY" in outcome.error) == (2, True)
    assert cubic("dmap", "fetch", "no_such").exit_code == 2
    assert vendor.requests == ()


def test_keys_are_nowhere_afterwards(cubic: Cubic, vendor: FakeVendor, home: Path, tmp_path: Path) -> None:
    vendor.api_keys["datasetpublicusersapi"] = "another"
    outcome = cubic("dmap", "fetch")
    vendor.api_keys["datasetpublicusersapi"] = "demo-public"
    cubic("dmap", "fetch")
    assert "demo-public" not in outcome.out + outcome.error
    assert home.exists()
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [path for path, text in files.items() if b"demo-public" in text or b"sig=" in text] == []


def test_a_fetch_by_hand_shows_in_dagster_as_the_schedules_does(cubic: Cubic, home: Path, vendor: FakeVendor) -> None:
    names = ("agg_daily_fareprod", "agg_average_boardings_by_day_type_month")
    key, failed = (dg.AssetKey(["dmap_feed", name]) for name in names)
    vendor.files.arm(bad.xml(), times=None, matching="20230520")
    vendor.lists.arm(bad.redirected("http://127.0.0.1:1/elsewhere"), times=None, matching="agg_average")
    assert cubic("dmap", "fetch").exit_code == 1
    with dagster_instance(read_settings()) as instance:
        event = instance.get_latest_materialization_event(key)
        assert event
        materialization = event.asset_materialization
        assert materialization
        assert materialization.metadata["fetched"].value == 3
        assert instance.get_latest_materialization_event(failed) is None
        checks = [dg.AssetCheckKey(each, "complete") for each in (key, failed)]
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
        told = {check.asset_key: record.evaluation for check, record in latest.items()}
        assert [evaluation.passed for evaluation in told.values() if evaluation] == [False, False]
        assert told.keys() == {key, failed}
    assert home.is_dir()
