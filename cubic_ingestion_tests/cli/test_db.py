"""``cubic db``: to the newest schema, and back to that of an older release."""

from pathlib import Path

import pytest

from cubic_ingestion.ledger import upgrade as schema
from cubic_ingestion.ledger.upgrade import NEWEST
from cubic_ingestion_tests.cli.conftest import Cubic
from cubic_ingestion_tests.databases import an_engine


def test_a_downgrade_goes_back_and_the_next_upgrade_takes_back_what_was_parked(cubic: Cubic, home: Path) -> None:
    cubic("demo")
    cubic("ingest")
    load = cubic("loads", "show", 1, "--json").json

    outcome = cubic("db", "downgrade", "0009")

    assert outcome.exit_code == 0
    assert outcome.out.splitlines()[0] == "The ledger is at revision 0009."
    with an_engine(f"sqlite:///{home / 'metadata.sqlite'}") as engine:
        assert schema.current_revision(engine) == "0009"
    assert cubic("loads", "list").exit_code == 2
    assert cubic("db", "upgrade").text == f"The ledger is at revision {NEWEST}."
    assert cubic("loads", "show", 1, "--json").json == load


def test_a_downgrade_to_the_revision_that_the_ledger_has_changes_nothing(cubic: Cubic, home: Path) -> None:
    cubic("db", "upgrade")
    assert home.is_dir()

    assert cubic("db", "downgrade", NEWEST).exit_code == 0
    assert cubic("status").exit_code == 0


@pytest.mark.parametrize("revision", ["0", "9999", "base", "head", "0010", "-1", "0008:0007"])
def test_a_downgrade_to_an_unknown_revision_is_refused_and_the_known_ones_are_listed(
    cubic: Cubic, home: Path, revision: str
) -> None:
    cubic("db", "upgrade")
    cubic("db", "downgrade", "0009")

    outcome = cubic("db", "downgrade", "--", revision)

    assert outcome.exit_code == 2
    assert f"'{revision}'" in outcome.error
    assert "0009, 0008, 0007, 0006, 0005, 0004, 0003, 0002, 0001" in outcome.error
    with an_engine(f"sqlite:///{home / 'metadata.sqlite'}") as engine:
        assert schema.current_revision(engine) == "0009"


@pytest.mark.usefixtures("home")
def test_a_downgrade_makes_no_home(cubic: Cubic) -> None:
    outcome = cubic("db", "downgrade", "0009")

    assert outcome.exit_code == 2
    assert "There is no home" in outcome.error


def test_a_downgrade_of_a_database_without_a_schema_asks_for_the_upgrade(
    cubic: Cubic, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    monkeypatch.setenv("CUBIC_DATABASE_URL", f"sqlite:///{home / 'mine.sqlite'}")

    outcome = cubic("db", "downgrade", "0009")

    assert outcome.exit_code == 2
    assert "cubic db upgrade" in outcome.error


def test_the_help_of_the_downgrade_says_what_must_be_stopped_and_what_is_parked(cubic: Cubic) -> None:
    words = cubic("db", "downgrade", "--help").text

    assert "Stop all processes" in words
    assert "parked" in words
