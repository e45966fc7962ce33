"""Where commands look: a missing Incoming, a home that is not there, and what is printed when nothing was found."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import depot_of, put_dmap
from cubic_ingestion_tests.permissions import permissions_count
from cubic_ingestion_tests.s3 import name_s3, new_bucket, s3

__all__ = ["s3"]

CUBIC = str(Path(sys.executable).with_name("cubic"))
LOOKING = [
    ("status",),
    ("status", "--check"),
    ("status", "--json"),
    ("audit",),
    ("metrics", "--once"),
    ("loads", "list"),
    ("loads", "show", "1"),
    ("loads", "retry", "1"),
    ("tables", "changes", "cubic__dmap__agg_sample"),
    ("quarantine", "list"),
    ("quarantine", "replay"),
    ("catalog", "list"),
    ("catalog", "refresh"),
    ("dmap", "list"),
]


def unusable(home: Path, kind: str) -> Path:
    """Return a place that is no Incoming."""
    place = home.parent / "mount" / "incoming"
    if kind == "a regular file":
        place.parent.mkdir()
        place.write_text("no folder")
    return place


@pytest.mark.parametrize("kind", ["not there", "a regular file"])
def test_an_incoming_that_is_not_there_is_an_error_and_a_problem(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    assert cubic("ingest").exit_code == 0
    place = unusable(home, kind)
    monkeypatch.setenv("CUBIC_INCOMING_URL", str(place))

    ingest = cubic("ingest")
    assert ingest.exit_code == 2
    assert "CUBIC_INCOMING_URL: Incoming cannot be listed: " in ingest.error
    assert f"'{place}'" in ingest.error
    assert cubic("demo").exit_code == 2

    check = cubic("status", "--check", "--json")
    assert check.exit_code == 1
    (problem,) = check.json["problems"]
    assert (problem["code"], problem["table"]) == ("incoming_missing", "")
    assert str(place) in problem["message"]
    assert "make" in problem["remedy"]
    assert "ake it" not in problem["message"]
    assert "incoming_missing: CUBIC_INCOMING_URL" in cubic("status").out
    assert place.exists() == (kind == "a regular file")


@pytest.mark.parametrize("command", [("dmap", "fetch"), ("kafka", "batch")], ids=" ".join)
def test_nothing_is_fetched_into_an_incoming_that_is_not_there(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    place = unusable(home, "not there")
    for name, value in {
        "CUBIC_INCOMING_URL": str(place),
        "CUBIC_DMAP_BASE_URL": "http://127.0.0.1:1",
        "CUBIC_DMAP_PUBLIC_API_KEY": "k",
        "CUBIC_KINESIS_STREAM": "fares",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    outcome = cubic(*command)
    assert outcome.exit_code == 2
    assert "CUBIC_INCOMING_URL: Incoming cannot be listed" in outcome.error
    assert not place.exists()


def test_a_bucket_that_is_not_there_is_an_error_and_a_problem(
    cubic: Cubic, home: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_s3(s3, monkeypatch)
    monkeypatch.setenv("CUBIC_INCOMING_URL", f"s3://{new_bucket(s3)}/dev")
    assert cubic("ingest").exit_code == 0
    assert cubic("status", "--check").text == "Healthy."
    monkeypatch.setenv("CUBIC_INCOMING_URL", "s3://no-such-bucket/dev")
    ingest = cubic("ingest")
    assert ingest.exit_code == 2
    assert "CUBIC_INCOMING_URL: Incoming cannot be listed" in ingest.error
    assert "There is no bucket 'no-such-bucket'" in ingest.error
    assert [problem["code"] for problem in cubic("status", "--check", "--json").json["problems"]] == [
        "incoming_missing"
    ]
    assert home.is_dir()


def test_an_incoming_in_the_home_that_went_missing_is_an_error_and_is_not_made_again(cubic: Cubic, home: Path) -> None:
    assert cubic("ingest").exit_code == 0
    (home / "incoming").rmdir()
    for command in ("ingest", "demo"):
        outcome = cubic(command)
        assert outcome.exit_code == 2
        assert f"Incoming cannot be listed: There is no folder '{home}/incoming'." in outcome.error
    assert [problem["code"] for problem in cubic("status", "--check", "--json").json["problems"]] == [
        "incoming_missing"
    ]
    assert not (home / "incoming").exists()


def test_a_file_in_the_place_of_incoming_is_named_with_what_to_do(cubic: Cubic, home: Path) -> None:
    home.mkdir()
    (home / "incoming").write_text("a file")
    outcome = cubic("ingest")
    assert outcome.exit_code == 2
    assert f"'{home}/incoming' is a file, and no folder. Move it away" in outcome.error
    assert "CUBIC_HOME" not in outcome.error


def test_the_incoming_of_a_new_home_is_made(cubic: Cubic, home: Path) -> None:
    assert cubic("ingest").exit_code == 0
    assert (home / "incoming").is_dir()
    assert cubic("status", "--check").text == "Healthy."


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_command_that_only_looks_makes_no_home_and_says_that_there_is_none(
    cubic: Cubic, home: Path, command: tuple[str, ...]
) -> None:
    for _ in range(2):
        outcome = cubic(*command)
        assert outcome.exit_code == 2
        assert outcome.out == ""
        assert f"There is no home at '{home}'" in outcome.error
        assert list(home.parent.iterdir()) == ([] if not home.exists() else [home])
        home.mkdir(exist_ok=True)
    assert list(home.iterdir()) == []


def test_a_database_elsewhere_needs_no_home(cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming = home.parent / "landing"
    incoming.mkdir()
    monkeypatch.setenv("CUBIC_INCOMING_URL", str(incoming))
    monkeypatch.setenv("CUBIC_DATABASE_URL", f"sqlite:///{home.parent}/elsewhere.sqlite")
    monkeypatch.setenv("CUBIC_HOME", str(home.parent / "first"))
    assert cubic("db", "upgrade").exit_code == 0
    monkeypatch.setenv("CUBIC_HOME", str(home))
    assert cubic("status", "--check").text == "Healthy."
    assert cubic("loads", "list").exit_code == 0
    assert not home.exists()


def test_a_file_that_was_put_into_a_home_before_anybody_looked_is_a_problem(cubic: Cubic, home: Path) -> None:
    path = home / "incoming/cubic/dmap/agg_sample/20220304.csv"
    path.parent.mkdir(parents=True)
    path.write_text("sample_id\n1\n")
    three_days_ago = time.time() - 3 * 86_400
    os.utime(path, (three_days_ago, three_days_ago))
    outcome = cubic("status", "--check", "--json")
    assert (outcome.exit_code, [problem["code"] for problem in outcome.json["problems"]]) == (1, ["not_scanned"])
    assert cubic("status", "--check", "--ignore", "not_scanned").exit_code == 0
    cubic("ingest")
    time.sleep(1.1)
    assert "not_scanned: Nobody has listed" in cubic("status", "--check", "--max-scan-seconds", "1").out


@pytest.mark.parametrize(
    "command",
    [("ingest",), ("status",), ("audit",), ("loads", "list"), ("quarantine", "list"), ("catalog", "list")],
    ids=" ".join,
)
def test_a_command_that_found_nothing_says_where_it_looked(cubic: Cubic, home: Path, command: tuple[str, ...]) -> None:
    cubic("db", "upgrade")
    where = [
        f"home {home}",
        f"database sqlite:///{home}/metadata.sqlite",
        *(f"{zone} {home}/{zone}" for zone in ("incoming", "archive", "error", "springboard")),
    ]
    outcome = cubic(*command)
    assert [line for line in where if line not in outcome.text] == []
    as_json = cubic(*command, "--json")
    json.loads(as_json.out)
    assert [line for line in where if line not in " ".join(as_json.error.split())] == []


def test_a_command_that_found_something_does_not_say_where(cubic: Cubic, home: Path) -> None:
    put_dmap(depot_of(home), "20220304.csv")
    for command in (("ingest",), ("status",), ("audit",), ("loads", "list")):
        assert "Looked in" not in (outcome := cubic(*command)).out + outcome.error


def test_no_password_of_the_database_is_among_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    from cubic_ingestion.settings import read_settings

    for url, shown in {
        "postgresql://me:s3cret@host:5432/cubic?password=other&sslmode=require": "postgresql://me@host:5432/cubic",
        "postgresql+psycopg://me@host/cubic": "postgresql+psycopg://me@host/cubic",
        "postgresql:///cubic?host=/run": "postgresql:///cubic",
    }.items():
        monkeypatch.setenv("CUBIC_DATABASE_URL", url)
        assert read_settings().places["database"] == shown


def test_a_command_that_makes_no_further_try_promises_none(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    monkeypatch.setenv("CUBIC_DATABASE_URL", "postgresql://me:s3cret@127.0.0.1:1/x")
    for command in (("status", "--check"), ("loads", "list"), ("db", "upgrade")):
        outcome = cubic(*command)
        assert outcome.exit_code == 2
        assert outcome.error.startswith("error: The ledger could not be reached (")
        assert outcome.error.endswith(" Run the command again.\n")
        assert "tried again" not in outcome.error


def test_a_home_that_may_not_be_written_is_named_with_the_cause(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    home.chmod(0o500)
    try:
        with permissions_count():
            outcome = cubic("status")
    finally:
        home.chmod(0o700)
    assert outcome.exit_code == 2
    assert f"'{home}/metadata.sqlite'" in outcome.error
    assert f"this user may not write to the folder '{home}'" in outcome.error
    assert "tried again" not in outcome.error
