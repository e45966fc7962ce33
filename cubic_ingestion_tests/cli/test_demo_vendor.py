"""``cubic demo --dmap`` as a process: what it prints, how it misbehaves, how it ends."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cubic_ingestion.cli import demo_vendor
from cubic_ingestion.fake_vendor import SAMPLE_FEED
from cubic_ingestion_tests.cli.conftest import Cubic

DEMO = [Path(sys.executable).with_name("cubic"), "demo", "--dmap"]
INVITATION = re.compile(
    r"CUBIC_DMAP_BASE_URL=(http://127\.0\.0\.1:\d+) CUBIC_DMAP_PUBLIC_API_KEY=(\S+) "
    r"CUBIC_DMAP_CONTROLLED_API_KEY=\S+ cubic dmap fetch"
)
PATIENCE_SECONDS = 60


@contextmanager
def demo(folder: Path, *options: str) -> Generator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Start it, and a client with what the line to paste says."""
    with subprocess.Popen([*DEMO, *options], stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout
            found = next(filter(None, map(INVITATION.match, process.stdout)))
            with httpx.Client(base_url=found[1], headers={"apikey": found[2]}, timeout=10) as client:
                yield process, client
        finally:
            process.kill()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_refuses_a_list_and_a_link_and_ends_well_though_clients_are_connected(
    tmp_path: Path, end: signal.Signals
) -> None:
    with demo(tmp_path) as (process, client):
        lists = [client.get(SAMPLE_FEED, params={"limit": 100}) for _ in range(2)]
        link = lists[1].json()["results"][0]["url"]
        files = [client.get(link) for _ in range(2)]
        process.send_signal(end)
        printed, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert [answer.status_code for answer in (*lists, *files)] == [429, 200, 403, 200]
    assert lists[0].headers["Retry-After"] == "1"
    file = "/files/agg_daily_fareprod/fareprod_20230517.csv.gz"
    shown = [line.split(maxsplit=1)[1].split() for line in printed.splitlines() if "GET" in line]
    assert shown == [
        ["429", "GET", SAMPLE_FEED, "limit=100"],
        ["200", "GET", SAMPLE_FEED, "limit=100"],
        ["403", "GET", file],
        ["200", "GET", file],
    ]
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []  # no home was made


def test_it_may_be_honest(tmp_path: Path) -> None:
    with demo(tmp_path, "--honest") as (_, client):
        assert client.get(SAMPLE_FEED).status_code == 200


def test_each_minute_it_makes_trouble_again_and_restates_a_data_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[list[int], str]] = []
    urls: list[str] = []

    def minute(_: float) -> None:
        printed = capsys.readouterr().out
        urls.extend(found[1] for found in INVITATION.finditer(printed))
        answers = [httpx.get(urls[0] + SAMPLE_FEED, headers={"apikey": "demo-public"}) for _ in range(2)]
        newest = answers[1].json()["results"][-1]
        assert len(seen) == 0 or f"restated  {newest['dataset_id']}" in printed
        seen.append(([answer.status_code for answer in answers], newest["dataset_id"]))
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(demo_vendor.time, "sleep", minute)
    monkeypatch.setattr(demo_vendor.signal, "signal", lambda *_: None)

    demo_vendor.serve(0, honest=False)

    assert seen == [([429, 200], f"fareprod_202305{day}") for day in (18, 19, 20)]


def test_a_port_that_is_taken_is_refused_with_a_way_out(cubic: Cubic) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = cubic("demo", "--dmap", "--port", taken.getsockname()[1])

    assert outcome.exit_code == 2
    assert "name another --port" in " ".join(outcome.error.replace("│", " ").split())


def test_its_options_need_it(cubic: Cubic, home: Path) -> None:
    assert cubic("demo", "--honest").exit_code == 2
    assert not (home / "incoming").exists()
