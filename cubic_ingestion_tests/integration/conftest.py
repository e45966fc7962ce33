"""A real server on the sample, and a real browser before it; both are started once."""

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from cubic_ingestion.cli.sample import sample_files
from cubic_ingestion_tests.integration.servers import Server, serving

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
LAND_SECONDS = 120
UI_SECONDS = 30
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@dataclass(frozen=True)
class Landed:
    """A server that ingested the sample of all three streams, the last file of it while people watched."""

    server: Server
    home: Path
    seconds: float
    """From the copy of the last file until it was archived."""


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Debian's Chromium. Without it the browser tests are left out, and in CI they fail."""
    if not CHROMIUM.exists():
        reason = f"The browser tests need Debian's Chromium ({CHROMIUM}): apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return CHROMIUM


@pytest.fixture(scope="module")
def landed(chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landed]:
    """Start what ``make dev`` starts, on a home of its own that the sample landed in, but for one file that is late."""
    assert chromium
    folder = tmp_path_factory.mktemp("newcomer")
    home = folder / "home"
    write_sample(home / "incoming")
    late = next((home / "incoming").rglob("agg_sample_20220307.csv.gz")).rename(folder / "agg_sample_20220307.csv.gz")
    with dagster_dev(home, folder / "server.log") as server:
        server.wait_until(lambda: not files(home / "incoming"), "the sample is archived", LAND_SECONDS)
        folder_of_late = home / "incoming/cubic/dmap/agg_sample"
        folder_of_late.mkdir(parents=True, exist_ok=True)
        shutil.copy(late, folder_of_late)
        seconds = server.wait_until(lambda: not files(home / "incoming"), "the late file is archived", LAND_SECONDS)
        yield Landed(server, home, seconds)


@contextmanager
def dagster_dev(home: Path, log_path: Path, environment: Mapping[str, str] | None = None) -> Generator[Server]:
    """Start what ``make dev`` starts, on a home, with Dagster's state in it."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True)
    config = (ROOT / "dagster.yaml").read_text(encoding="utf-8").replace(".cubic/dagster", str(dagster_home))
    (dagster_home / "dagster.yaml").write_text(config, encoding="utf-8")
    homes = {"CUBIC_HOME": str(home), "DAGSTER_HOME": str(dagster_home)}
    dagster = str(Path(sys.executable).with_name("dagster"))
    with serving([dagster, "dev"], ROOT, log_path, {**homes, **(environment or {})}) as server:
        yield server


@pytest.fixture(scope="module")  # its event loop would disturb other modules' tests in the same process
def context(chromium: Path, landed: Landed) -> Iterator[BrowserContext]:
    """A Chromium without a window, which reaches nothing but the server."""
    with browsing(chromium, landed.server) as context:
        context.route(lambda url: not url.startswith(landed.server.url), lambda route: route.abort())
        yield context


@contextmanager
def browsing(chromium: Path, server: Server) -> Generator[BrowserContext]:
    """Start a Chromium without a window."""
    expect.set_options(timeout=UI_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        context = browser.new_context(
            base_url=server.url,
            viewport={"width": 1600, "height": 1100},
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.set_default_timeout(UI_SECONDS * 1000)
        yield context
        browser.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A fresh page."""
    opened = context.new_page()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for screenshots: that of ``UI_SCREENSHOTS``, or one that pytest keeps for a while."""
    named = os.environ.get("UI_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def shoot(page: Page, screenshots: Path) -> Callable[[str], None]:
    """Take a screenshot, for a person to look at."""

    def take(name: str) -> None:
        page.screenshot(path=screenshots / f"{name}.png")

    return take


def write_sample(folder: Path) -> None:
    """Write the sample of all three streams below a folder."""
    for key, data in sample_files().items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, sorted. Folders may go meanwhile, where ``rglob`` would raise."""
    walked = os.walk(folder)
    return sorted((Path(root) / name).relative_to(folder).as_posix() for root, _, names in walked for name in names)
