"""``cubic loads retry``: another try for errored loads, by id, table or reason."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.homes import DMAP, close_depots, depot_of, enter, put_dmap, put_kafka

TABLE = "cubic__dmap__agg_sample"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the home, which is ingested once and then laid out anew for each test."""
    return tmp_path_factory.mktemp("errored")


@pytest.fixture
def errored(cubic: Cubic, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a load in Error for a bad value (1), one that is empty (2), and one archived (3)."""
    home = enter(folder, monkeypatch)
    ingested = folder / "ingested"
    if not ingested.exists():
        depot = depot_of(home)
        put_dmap(depot, "20220304.csv", "1,a,many\n")
        depot.put(DMAP + "20220305.csv", b"")
        put_kafka(depot, "a.json")
        assert cubic("ingest").exit_code == 1
        assert [load["id"] for load in cubic("loads", "list", "--status", "errored", "--json").json] == [2, 1]
        close_depots()
        home.rename(ingested)
    shutil.copytree(ingested, home)
    yield home
    close_depots()
    shutil.rmtree(home)


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ((1,), [1]),
        ((2, 1, 2), [2, 1]),
        (("--table", TABLE), [2, 1]),
        (("--table", "cubic__kafka__sample"), []),
        (("--code", "bad_value"), [1]),
        (("--code", "bad_value", "--code", "empty_file"), [2, 1]),
        (("--table", TABLE, "--code", "empty_file"), [2]),
    ],
)
def test_errored_loads_are_brought_back(
    cubic: Cubic, errored: Path, selection: tuple[object, ...], ids: list[int]
) -> None:
    del errored
    outcome = cubic("loads", "retry", *selection, "--json")
    assert (outcome.exit_code, outcome.json) == (0, {"retried": ids, "refused": []})
    ready = cubic("loads", "list", "--status", "ready", "--json").json
    assert sorted(load["id"] for load in ready) == sorted(ids)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_all_pages_are_brought_back_and_people_are_shown_the_first(
    cubic: Cubic, errored: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    del errored
    monkeypatch.setattr("cubic_ingestion.cli.loads._PAGE_LOADS", 1)
    monkeypatch.setattr("cubic_ingestion.cli.changed_loads.MAX_SHOWN", 1)

    outcome = cubic("loads", "retry", "--table", TABLE, *options)

    assert cubic("loads", "list", "--status", "errored", "--json").json == []
    if options:
        assert outcome.json == {"retried": [2, 1], "refused": []}
    else:
        assert "20220305.csv" in outcome.text
        assert "20220304.csv" not in outcome.text
        assert "These are the first 1 of 2; '--json' prints the ids of all." in outcome.text


def test_people_are_told_how_many_loads_stay_as_they_are(
    cubic: Cubic, errored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for original in (errored / "error").rglob("*.csv"):
        original.unlink()
    monkeypatch.setattr("cubic_ingestion.cli.changed_loads.MAX_SHOWN", 1)

    outcome = cubic("loads", "retry", "--table", TABLE)

    assert outcome.exit_code == 0
    assert "Load 2 stays as it is: has no original in Error." in outcome.error
    assert "Load 1 " not in outcome.error
    assert "2 loads stay as they are; '--json' prints the reasons of all." in outcome.error


def test_what_cannot_be_retried_is_named_and_the_rest_is_brought_back(cubic: Cubic, errored: Path) -> None:
    del errored
    outcome = cubic("loads", "retry", 3, 1, 4711)
    assert outcome.exit_code == 1
    assert "20220304.csv" in outcome.text
    assert "Load 3 stays as it is: is 'archived', not errored." in outcome.error
    assert "Load 4711 stays as it is: there is no load with this id." in outcome.error
    again = cubic("loads", "retry", 1, "--json")
    assert (again.exit_code, again.json["retried"]) == (1, [])
    assert again.json["refused"] == [{"id": 1, "reason": "is 'ready', not errored"}]


def test_what_is_still_wrong_is_in_error_again_after_the_next_pass(cubic: Cubic, errored: Path) -> None:
    before = sorted(path for path in (errored / "error").rglob("*") if path.is_file())
    cubic("loads", "retry", "--code", "bad_value")
    assert cubic("ingest").exit_code == 1
    assert cubic("loads", "show", 1, "--json").json["error_code"] == "bad_value"
    assert sorted(path for path in (errored / "error").rglob("*") if path.is_file()) == before


@pytest.mark.parametrize("selection", [(), (1, "--code", "bad_value")])
def test_ids_or_something_to_select_by_are_needed(cubic: Cubic, home: Path, selection: tuple[object, ...]) -> None:
    del home
    assert cubic("loads", "retry", *selection).exit_code == 2


@pytest.mark.parametrize("command", [("retry",), ("acknowledge", "--reason", "Known")], ids=lambda command: command[0])
def test_an_error_code_that_there_is_not_is_refused_and_the_known_ones_are_listed(
    cubic: Cubic, errored: Path, command: tuple[str, ...]
) -> None:
    del errored
    outcome = cubic("loads", *command, "--code", "bad_valeu")
    assert outcome.exit_code == 2
    assert "'bad_valeu'" in outcome.error
    assert "'bad_value'" in outcome.error
    assert cubic("loads", "list", "--status", "errored", "--json").json[1]["acknowledged_at"] is None
