"""What a delivered name or value makes the browser of a reader do: nothing. It is seen as it is.

A server on this machine stands for the host that the planted pictures and links lead to, and counts requests.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from cubic_ingestion_tests.hostile_files import plant_hostile_files
from cubic_ingestion_tests.integration.conftest import LAND_SECONDS, browsing, dagster_dev, files
from cubic_ingestion_tests.integration.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

KAFKA = "/assets/springboard/kafka/cubic__kafka__sample"
DMAP = "/assets/springboard/dmap/cubic__dmap__agg_sample"
PAGES = [
    (KAFKA, "/field.png)"),
    (f"{KAFKA}?view=events", "/field.png)"),
    (f"{KAFKA}?view=partitions&partition=c", "/value.png)"),
    (f"{DMAP}?view=checks&checkDetail=record_count", "/bad.png)"),
    (f"{DMAP}?view=partitions&partition=2022-03-11", "/header.png)"),
    (f"{DMAP}?view=events", "/header.png)"),
    ("/assets/audit?view=checks", "[Show Markdown]"),
    ("/assets/audit?view=events", "audit"),
    ("/runs", "audit_zones"),
]
"""Pages that show what was delivered, and a text on each that is there once the page is."""
N_LEFT = 5
"""Files that stay in Incoming: without a table, without a sidecar, or with a name that is not UTF-8."""
_ENDED = {"SUCCESS", "FAILURE"}
_LAUNCH_AUDIT = """mutation {launchRun(executionParams: {runConfigData: {}, selector: {
    repositoryName: "__repository__", repositoryLocationName: "cubic_ingestion", jobName: "audit_zones"}})
    {__typename}}"""


@dataclass(frozen=True)
class Plant:
    """The host that the planted texts lead to."""

    host: str
    hits: list[str] = field(default_factory=list[str])
    """Paths that were asked for."""


@contextmanager
def planted() -> Generator[Plant]:
    """Listen on this machine."""
    hits: list[str] = []

    class Counter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Counter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Plant(f"127.0.0.1:{server.server_port}", hits)
        server.shutdown()


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    """The host."""
    with planted() as plant:
        yield plant


@pytest.fixture(scope="module")
def server(chromium: Path, plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Dagster as people start it, after it ingested and audited files that mean harm."""
    assert chromium
    folder = tmp_path_factory.mktemp("hostile")
    incoming = folder / "home/incoming"
    tables = plant_hostile_files(folder / "home", plant.host)
    environment = {"CUBIC_TABLES_DIR": str(tables), "CUBIC_SETTLE_SECONDS": "0"}
    with dagster_dev(folder / "home", folder / "server.log", environment) as server:
        server.wait_until(lambda: len(files(incoming)) == N_LEFT, "all is ingested or in Error", 2 * LAND_SECONDS)
        assert server.ask(_LAUNCH_AUDIT)["launchRun"]["__typename"] == "LaunchRunSuccess"
        server.wait_until(lambda: is_audited(server), "the audit has ended", LAND_SECONDS)
        yield server


@pytest.fixture(scope="module")
def context(chromium: Path, server: Server) -> Iterator[BrowserContext]:
    """A Chromium that reaches whatever this machine serves."""
    with browsing(chromium, server) as context:
        yield context


def is_audited(server: Server) -> bool:
    return "SUCCESS" in {run["status"] for run in server.runs() if run["jobName"] == "audit_zones"}


def assert_inert(page: Page, plant: Plant) -> None:
    """Fail if anything on the page leads to the planted host, or has reached it."""
    sources = page.locator("a, img, iframe, [src], [style]").evaluate_all(
        "all => all.map(one => one.cloneNode().outerHTML)"
    )
    assert [source for source in sources if plant.host in source or "mailto:" in source] == []
    assert plant.hits == []


def open_all_markdown(page: Page, plant: Plant) -> int:
    """Look at everything that the page shows on demand; returns how many there were with a planted text."""
    buttons = page.get_by_text("[Show Markdown]")
    n_planted = 0
    for number in range(buttons.count()):
        buttons.nth(number).click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator(".dagster-markdown")).to_be_visible()
        n_planted += plant.host in dialog.inner_text()
        assert_inert(page, plant)
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
    return n_planted


@pytest.mark.parametrize(("path", "text"), PAGES, ids=[path for path, _ in PAGES])
def test_a_page_shows_what_was_planted_and_nothing_of_it_is_live(
    plant: Plant, page: Page, path: str, text: str, screenshots: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(path)
    expect(page.get_by_text(text).first).to_be_visible()
    assert_inert(page, plant)
    open_all_markdown(page, plant)

    page.screenshot(path=screenshots / f"hostile-{PAGES.index((path, text))}.png")
    assert [url for url in asked if plant.host in url] == []


def test_the_audit_s_check_names_what_was_planted(page: Page, plant: Plant) -> None:
    page.goto("/assets/audit?view=checks")
    expect(page.get_by_text("[Show Markdown]").first).to_be_visible()

    assert open_all_markdown(page, plant) > 0


def test_no_line_of_a_runs_log_is_live(page: Page, plant: Plant, server: Server) -> None:
    for run in server.runs():
        page.goto(f"/runs/{run['runId']}")
        expect(page.get_by_text("RUN_SUCCESS").or_(page.get_by_text("RUN_FAILURE")).first).to_be_visible()
        assert_inert(page, plant)
        open_all_markdown(page, plant)


def test_a_picture_that_is_live_would_have_been_counted(context: BrowserContext) -> None:
    with planted() as other:
        page = context.new_page()
        page.set_content(f'<a href="http://{other.host}/x">x</a><img src="http://{other.host}/x.png">')
        page.wait_for_load_state()
        with pytest.raises(AssertionError):
            assert_inert(page, other)
        page.close()
    assert set(other.hits) == {"/x.png"}
