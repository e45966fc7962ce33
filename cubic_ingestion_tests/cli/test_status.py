"""``cubic status --check`` and ``cubic metrics``: what probes and Prometheus build on."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cubic_ingestion.domain.table import StreamName
from cubic_ingestion.pipeline.register import register
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import DMAP, depot_of, put_kafka
from local_servers.environment import clean_environment

HEADER = "sample_id,sample_name,sample_count\n"


def put(home: Path, name: str, row: str) -> None:
    """Let a DMAP file land."""
    path = home / "incoming" / DMAP / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + row)


def test_a_healthy_platform_is_exit_code_0(cubic: Cubic, home: Path) -> None:
    put(home, "20220304.csv", "1,a,5\n")
    assert cubic("ingest").exit_code == 0

    outcome = cubic("status", "--check", "--json")

    assert outcome.exit_code == 0
    assert outcome.json.keys() == {"schema_version", "checked_at", "healthy", "problems"}
    assert (outcome.json["schema_version"], outcome.json["healthy"], outcome.json["problems"]) == (1, True, [])
    assert cubic("status", "--check").text == "Healthy."


def test_a_problem_is_exit_code_1_unless_it_is_ignored_or_below_its_threshold(cubic: Cubic, home: Path) -> None:
    put(home, "20220304.csv", "1,a,many\n")
    assert cubic("ingest").exit_code == 1

    outcome = cubic("status", "--check", "--json")

    assert outcome.exit_code == 1
    (problem,) = outcome.json["problems"]
    assert problem.keys() == {"code", "table", "since", "message", "remedy"}
    assert (problem["code"], problem["table"]) == ("errored", "cubic__dmap__agg_sample")
    assert "errored cubic__dmap__agg_sample: 1 load" in cubic("status", "--check").out
    assert cubic("status", "--check", "--ignore", "errored").exit_code == 0
    assert cubic("status", "--check", "--errored-hours", "0").exit_code == 0


def test_the_full_status_has_the_same_and_never_fails_for_it(cubic: Cubic, home: Path) -> None:
    put(home, "20220304.csv", "1,a,many\n")
    cubic("ingest")

    outcome = cubic("status", "--json")

    assert (outcome.exit_code, outcome.json["healthy"]) == (0, False)
    assert outcome.json["streams"] == [
        {"stream": "dmap", "tables": 1, "under_way": 0, "archived": 0, "errored": 1, "rows": 0}
    ]
    assert "errored cubic__dmap__agg_sample" in cubic("status").out


def test_a_load_that_waits_longer_than_the_option_says_is_a_problem(cubic: Cubic, home: Path) -> None:
    put(home, "20220304.csv", "1,a,5\n")
    register(depot_of(home).platform, StreamName.DMAP)
    assert cubic("status", "--check").exit_code == 0
    time.sleep(1.1)
    outcome = cubic("status", "--check", "--json", "--max-wait-seconds", "1")
    assert (outcome.exit_code, outcome.json["problems"][0]["code"]) == (1, "waiting_too_long")


def test_a_catalog_that_refused_changes_is_a_problem_at_once_and_says_what_to_do(cubic: Cubic, home: Path) -> None:
    put(home, "20220304.csv", "1,a,5\n")
    (home / "catalog.duckdb").mkdir()
    assert cubic("ingest").exit_code == 0

    (problem,) = cubic("status", "--check", "--json").json["problems"]

    assert (problem["code"], problem["table"]) == ("catalog_behind", "cubic__dmap__agg_sample")
    assert "catalog.duckdb" in problem["message"]
    assert "cubic catalog refresh" in problem["remedy"]
    assert (
        'cubic_uncatalogued_changes{stream="dmap",table="cubic__dmap__agg_sample"} 1.0'
        in cubic("metrics", "--once").out
    )
    (home / "catalog.duckdb").rmdir()
    assert cubic("catalog", "refresh").exit_code == 0
    assert cubic("status", "--check").text == "Healthy."


def test_products_are_shown_with_the_changes_that_wait_for_them(cubic: Cubic, home: Path) -> None:
    depot = depot_of(home)
    put_kafka(depot, "a.json")
    depot.end_loads()

    (product,) = cubic("status", "--json").json["products"]

    assert (product["product"], product["waiting"], product["rows"]) == ("cubic__kafka__sample__events", 1, 0)
    assert "Products" in cubic("status").text


def test_metrics_are_printed_once(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()
    assert "cubic_up 1.0" in cubic("metrics", "--once").out


def test_metrics_say_that_nobody_scans_and_that_incoming_is_missing(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    put(home, "20220304.csv", "1,a,5\n")
    assert 'cubic_problems{code="not_scanned"' in cubic("metrics", "--once").out

    (home / "incoming").rename(home / "unmounted")
    assert 'cubic_problems{code="incoming_missing"' in cubic("metrics", "--once").out


def test_metrics_are_served_on_the_port_of_the_setting_until_the_process_is_told_to_end(
    cubic: Cubic, home: Path
) -> None:
    cubic("db", "upgrade")
    command = [Path(sys.executable).parent / "cubic", "metrics"]
    environment = clean_environment() | {"CUBIC_HOME": str(home), "CUBIC_METRICS_PORT": "0"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the URL is our own server's
            families = {family.name for family in text_string_to_metric_families(answer.read().decode())}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert {"cubic_up", "cubic_oldest_waiting_seconds", "cubic_problems"} <= families


def test_a_port_that_is_taken_is_told(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        outcome = cubic("metrics", "--port", taken.getsockname()[1])
    assert outcome.exit_code == 2
    assert "cannot listen there" in outcome.error
