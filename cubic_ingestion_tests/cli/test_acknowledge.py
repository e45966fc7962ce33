"""``cubic loads acknowledge``: who knows of a rejection and why nobody needs to act."""

from pathlib import Path

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import depot_of, put_dmap


def rejected(cubic: Cubic, home: Path) -> int:
    """Ingest a file that is rejected; returns its load's id."""
    put_dmap(depot_of(home), "20220304.csv", "1,a,many\n")
    cubic("ingest")
    [load] = cubic("loads", "list", "--status", "errored", "--json").json
    return load["id"]


def codes(cubic: Cubic) -> list[str]:
    return [problem["code"] for problem in cubic("status", "--check", "--json").json["problems"]]


def test_a_rejection_is_a_problem_until_somebody_acknowledges_it(cubic: Cubic, home: Path) -> None:
    load_id = rejected(cubic, home)
    assert "errored" in codes(cubic)

    outcome = cubic("loads", "acknowledge", load_id, "--reason", "A known test file", "--by", "ann")

    assert outcome.exit_code == 0
    assert "errored" not in codes(cubic)
    story = cubic("loads", "show", load_id, "--json").json
    assert (story["acknowledged_by"], story["acknowledged_reason"]) == ("ann", "A known test file")
    assert story["acknowledged_at"]
    assert story["error_code"] == "bad_value"


def test_who_acknowledges_is_user_and_host_unless_said_otherwise(cubic: Cubic, home: Path) -> None:
    load_id = rejected(cubic, home)

    cubic("loads", "acknowledge", load_id, "--reason", "Known")

    assert "@" in cubic("loads", "show", load_id, "--json").json["acknowledged_by"]


def test_a_second_acknowledgement_is_refused_and_the_first_one_stays(cubic: Cubic, home: Path) -> None:
    load_id = rejected(cubic, home)
    cubic("loads", "acknowledge", load_id, "--reason", "A known test file", "--by", "ann")
    first = cubic("loads", "show", load_id, "--json").json

    outcome = cubic("loads", "acknowledge", load_id, "--reason", "I do not know", "--by", "bob")

    assert outcome.exit_code == 1
    assert f"Load {load_id} stays as it is: was acknowledged by ann at " in outcome.error
    assert "A known test file" in outcome.error
    assert cubic("loads", "show", load_id, "--json").json == first


def test_a_load_with_nothing_to_acknowledge_is_refused_by_its_id(cubic: Cubic, home: Path) -> None:
    put_dmap(depot_of(home), "20220304.csv")
    cubic("ingest")

    outcome = cubic("loads", "acknowledge", 1, 99, "--reason", "Known", "--json")

    assert outcome.exit_code == 1
    reasons = {refused["id"]: refused["reason"] for refused in outcome.json["refused"]}
    assert "neither an error nor records in quarantine" in reasons[1]
    assert reasons[99] == "there is no load with this id"


def test_all_open_loads_of_a_code_are_acknowledged_and_those_of_another_stay_a_problem(
    cubic: Cubic, home: Path
) -> None:
    depot = depot_of(home)
    put_dmap(depot, "20220305.csv", "1,a,many\n")
    depot.put("cubic/dmap/agg_sample/20220306.zip", b"PK")
    cubic("ingest")

    outcome = cubic("loads", "acknowledge", "--code", "bad_value", "--reason", "Known", "--json")

    assert len(outcome.json["acknowledged"]) == 1
    assert codes(cubic).count("errored") == 1


def test_all_pages_of_a_tables_open_loads_are_acknowledged(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (4, 5, 6):
        put_dmap(depot_of(home), f"2022030{day}.csv", "1,a,many\n")
    cubic("ingest")
    monkeypatch.setattr("cubic_ingestion.cli.loads._PAGE_LOADS", 1)

    outcome = cubic("loads", "acknowledge", "--table", "cubic__dmap__agg_sample", "--reason", "Known", "--json")

    assert outcome.json == {"acknowledged": [3, 2, 1], "refused": []}
    assert "errored" not in codes(cubic)


def test_a_retry_clears_what_was_acknowledged(cubic: Cubic, home: Path) -> None:
    load_id = rejected(cubic, home)
    cubic("loads", "acknowledge", load_id, "--reason", "Known")

    cubic("loads", "retry", load_id)
    cubic("ingest")

    assert cubic("loads", "show", load_id, "--json").json["acknowledged_at"] is None
    assert "errored" in codes(cubic)
