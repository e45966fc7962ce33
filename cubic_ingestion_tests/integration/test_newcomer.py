"""What a newcomer sees: files land while Dagster runs, and the UI is clicked through in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Locator, Page, expect

from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion.defs.translator import feed_key
from cubic_ingestion.domain.product import products_of
from cubic_ingestion.tables import load_tables
from cubic_ingestion_tests.integration.conftest import Landed, files

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

DMAP_PAGE = "/assets/springboard/dmap/cubic__dmap__agg_sample"
PARTITIONS = [
    ("ods/cubic__ods_qlik__edw_sample", "", ["20220301T000000Z"]),
    ("ods/cubic__ods_qlik__edw_sample__ct", "", ["20220301T000000Z_2022-03-04", "20220301T000000Z_2022-03-05"]),
    ("dmap/cubic__dmap__agg_sample", "2022-03-0", ["2022-03-04", "2022-03-05", "2022-03-06", "2022-03-07"]),
    ("kafka/cubic__kafka__sample", "", ["cu9RTTwQb3HrZqXRWdDZdA", "vytxeTZskVKR7C7WgdSP3d"]),
]
"""Asset, what its list of partitions is filtered by, and the partitions that landed."""
N_ROWS = {
    "cubic__ods_qlik__edw_sample": 5,
    "cubic__ods_qlik__edw_sample__ct": 2,
    "cubic__dmap__agg_sample": 8,
    "cubic__kafka__sample": 4,
}
DMAP_FILES = {
    "2022-03-04": "20220304.csv",
    "2022-03-05": "agg_sample_20220305.csv.gz",
    "2022-03-06": "20220306.csv",
    "2022-03-07": "agg_sample_20220307.csv.gz",
}
END_SECONDS = 120
"""A run ends in seconds, but Dagster's daemon looks at a backfill every half minute only."""


def parquet(home: Path, day: str) -> Path:
    return home / f"springboard/cubic/dmap/agg_sample/identifier={DMAP_FILES[day]}/part-0.parquet"


def rows_in_catalog(home: Path) -> dict[str, int]:
    with duckdb.connect(home / "catalog.duckdb", read_only=True) as catalog:
        return {name: catalog.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in N_ROWS}


def choose_partitions(page: Page, text: str) -> Locator:
    """Open the dialog of the asset's page, and name partitions older than those it offers at first."""
    page.goto(DMAP_PAGE)
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    box = dialog.get_by_placeholder("ex:")
    box.fill(text)
    box.press("Enter")
    return dialog


def row_of(page: Page, key: str) -> Locator:
    """Find the row of a table that a key or a column's name stands in."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=key, exact=True))


def value_of(page: Page, key: str) -> Locator:
    """Find the value beside a key of the metadata shown."""
    return row_of(page, key).get_by_role("cell").nth(1)


def test_what_is_copied_into_incoming_is_queryable_and_archived_within_a_minute(landed: Landed) -> None:
    assert landed.seconds < 60
    assert rows_in_catalog(landed.home) == N_ROWS
    archived = {path.rpartition("/")[2]: path for path in files(landed.home / "archive")}
    assert set(archived) == {key.rpartition("/")[2] for key in sample_files()}
    for key, data in sample_files().items():
        assert (landed.home / "archive" / archived[key.rpartition("/")[2]]).read_bytes() == data


def test_the_ui_shows_a_group_per_stream(page: Page, shoot: Callable[[str], None]) -> None:
    page.goto("/asset-groups")

    for group in ("dmap", "dmap_feeds", "kafka", "ods"):
        expect(page.get_by_title(group, exact=True)).to_be_visible()
    shoot("groups")


def test_every_declared_table_and_feed_is_shown_in_its_group(landed: Landed) -> None:
    query = "{assetNodes {assetKey {path} groupName isPartitioned}}"

    shown = {
        (node["groupName"], node["assetKey"]["path"][-1], node["isPartitioned"])
        for node in landed.server.ask(query)["assetNodes"]
    }

    declared = load_tables(None).values()
    tables = {(table.stream.value, table.name, True) for table in declared}
    feeds = {("dmap_feeds", feed_key(table).path[-1], False) for table in declared if table.feed}
    products = {("products", product.name, False) for product in products_of(declared).values()}
    assert shown == tables | products | feeds | {("audit", "audit", False), ("audit", "arrivals", False)}


@pytest.mark.parametrize(("asset", "name", "keys"), PARTITIONS, ids=[asset for asset, _, _ in PARTITIONS])
def test_a_tables_page_shows_the_partitions_that_landed(
    page: Page, shoot: Callable[[str], None], asset: str, name: str, keys: list[str]
) -> None:
    page.goto(f"/assets/springboard/{asset}")
    page.get_by_text("Partitions", exact=True).click()
    page.get_by_placeholder("Filter by name…").fill(name)

    expect(page.get_by_text(f"Materialized ({len(keys)})")).to_be_visible()
    for key in keys:
        expect(page.get_by_title(key, exact=True).first).to_be_visible()
    shoot(f"partitions-{asset.replace('/', '-')}")


def test_a_person_materialises_one_day_from_the_assets_page(
    landed: Landed, page: Page, shoot: Callable[[str], None]
) -> None:
    before = pq.read_table(parquet(landed.home, "2022-03-05"))
    parquet(landed.home, "2022-03-05").unlink()

    dialog = choose_partitions(page, "2022-03-05")
    expect(dialog.get_by_text("1 partition", exact=True)).to_be_visible()
    shoot("materialise-dialog")
    dialog.get_by_role("button", name="Launch 1 run").click()
    page.get_by_role("link", name="View", exact=True).click()
    shoot("materialise-launched")

    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=END_SECONDS * 1000)
    shoot("materialise-run")
    assert files(landed.home / "incoming") == []
    assert pq.read_table(parquet(landed.home, "2022-03-05")).equals(before)
    assert rows_in_catalog(landed.home) == N_ROWS


def test_a_person_backfills_a_range_of_days_even_over_one_without_data(
    landed: Landed, page: Page, shoot: Callable[[str], None]
) -> None:
    for day in ("2022-03-06", "2022-03-07"):
        parquet(landed.home, day).unlink()

    dialog = choose_partitions(page, "[2022-03-06...2022-03-08]")
    expect(dialog.get_by_text("3 partitions", exact=True)).to_be_visible()
    shoot("backfill-dialog")
    dialog.get_by_role("button", name="Launch backfill").click()
    page.get_by_role("link", name="View", exact=True).click()
    shoot("backfill-launched")

    status = page.get_by_text("Status", exact=True).locator("..")
    expect(status).to_contain_text("Succeeded", timeout=END_SECONDS * 1000)
    expect(page.get_by_text("100% completed")).to_be_visible()
    shoot("backfill-end")
    assert files(landed.home / "incoming") == []
    assert rows_in_catalog(landed.home) == N_ROWS


def test_a_partitions_page_shows_what_it_holds_and_where(
    landed: Landed, page: Page, shoot: Callable[[str], None]
) -> None:
    page.goto(DMAP_PAGE)
    page.get_by_text("Partitions", exact=True).click()
    page.get_by_placeholder("Filter by name…").fill("2022-03-04")
    page.get_by_title("2022-03-04", exact=True).click()

    part = parquet(landed.home, "2022-03-04")
    expect(value_of(page, "dagster/row_count")).to_have_text(re.compile(r"^\d+$"))
    expect(value_of(page, "dagster/partition_row_count")).to_have_text("2")
    expect(value_of(page, "size_bytes")).to_have_text(str(part.stat().st_size))
    expect(value_of(page, "loads")).to_have_text("1")
    expect(value_of(page, "dagster/uri")).to_contain_text(f"file://{part.parents[1]}/")
    expect(value_of(page, "locations")).to_contain_text(part.relative_to(landed.home / "springboard").as_posix())
    for column, type_ in (("sample_id", "int64"), ("sample_name", "string"), ("sample_count", "int64")):
        expect(value_of(page, "dagster/column_schema").get_by_role("row").filter(has_text=column)).to_contain_text(
            type_
        )
    for text in ("sample_name", "Sample 1", "Sample 2"):
        expect(value_of(page, "preview")).to_contain_text(text)
    shoot("partition-metadata")


def test_an_assets_page_shows_rows_columns_and_first_rows(page: Page, shoot: Callable[[str], None]) -> None:
    page.goto("/assets/springboard/kafka/cubic__kafka__sample")

    expect(page.get_by_text("Row count", exact=True)).to_be_visible()
    expect(row_of(page, "occurred_at")).to_contain_text("timestamp[us]")
    expect(row_of(page, "preview")).to_contain_text("tap")
    shoot("asset-page")


def test_no_run_failed_and_the_log_tells_of_no_error(landed: Landed) -> None:
    assert {run["status"] for run in landed.server.runs()} == {"SUCCESS"}
    text = re.sub(r"\x1b\[\d+m", "", landed.server.log_path.read_text(encoding="utf-8"))
    assert re.findall(r"^.*(?:Traceback|BetaWarning|\bERROR\b|\bCRITICAL\b).*$", text, flags=re.MULTILINE) == []
